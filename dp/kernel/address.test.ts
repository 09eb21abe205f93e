import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { packAddress } from '../protocol/address.ts';
import { kernelAddressOf, packedOf, textOf } from './address.ts';

describe('an address of the kernel’s', () => {
  const addresses = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom('::', '::1', '0.0.0.0', '255.255.255.255', '::fffe:0:0'),
  );
  it('goes into a report as its text would', () => {
    fc.assert(
      fc.property(addresses, (text) => {
        const address = kernelAddressOf(text);
        assert.deepEqual(packedOf(address), packAddress(textOf(address)));
      }),
      { numRuns: 2000 },
    );
  });
});
