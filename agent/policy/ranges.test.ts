import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type AddressRange, formatAddress, mergeRanges, parseRange } from './ranges.ts';

const range = fc
  .tuple(fc.constantFrom('ipv4', 'ipv6'), fc.nat(60), fc.nat(6))
  .map(([family, first, more]): AddressRange => ({ family, first: BigInt(first), last: BigInt(first + more) }));

const addresses = (ranges: readonly AddressRange[]): Set<string> =>
  new Set(
    ranges.flatMap(({ family, first, last }) =>
      Array.from({ length: Number(last - first) + 1 }, (_, i) => `${family} ${first + BigInt(i)}`),
    ),
  );

describe('ranges of addresses', () => {
  it('hold the same addresses once merged, in rising order with a gap between any two', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
        const merged = mergeRanges(ranges);
        assert.deepEqual(addresses(merged), addresses(ranges));
        for (const [i, next] of merged.entries()) {
          const before = merged[i - 1];
          if (before?.family === next.family) assert(before.last + 1n < next.first);
          else if (before) assert.deepEqual([before.family, next.family], ['ipv4', 'ipv6']);
        }
      }),
    );
  });

  it('are read as they were written', () => {
    const families = fc.constantFrom(['ipv4', 32n] as const, ['ipv6', 128n] as const);
    fc.assert(
      fc.property(families, fc.bigInt(0n, 2n ** 128n - 1n), fc.bigInt(0n, 2n ** 128n - 1n), ([family, bits], a, b) => {
        const [first, last] = [a, b].map((value) => value % 2n ** bits).toSorted((x, y) => (x < y ? -1 : 1));
        assert(first !== undefined && last !== undefined);
        const text = `${formatAddress(family, first)}-${formatAddress(family, last)}`;
        if (family === 'ipv4' || !text.includes('::ffff:')) assert.deepEqual(parseRange(text), { family, first, last });
      }),
    );
  });

  for (const text of ['10.0.0.1/33', '10.0.0.2-10.0.0.1', '10.0.0.1-::1', '10.0.0', 'x', '', '1.1.1.1-2.2.2.2-3.3.3.3'])
    it(`are not read from ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseRange(text), RangeError);
    });
});
