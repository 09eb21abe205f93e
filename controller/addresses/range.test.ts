import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type AddressRange,
  type Family,
  formatAddress,
  parseAddress,
  parseCidr,
  parseEnds,
  subtract,
} from './range.ts';

const NETWORKS = { 4: '203.0.113.0', 6: '2001:db8::ab00' } as const;
const ADDRESSES = 256;

function range(text: string): AddressRange {
  const found = text.includes('/') ? parseCidr(text) : parseEnds(text);
  assert.ok(found, text);
  return found;
}

const text = ({ family, first, last }: AddressRange): string =>
  `${formatAddress(family, first)}-${formatAddress(family, last)}`;

describe('a network without others', () => {
  const cases: [what: string, network: string, except: string[], left: string[]][] = [
    ['is itself without any', '10.0.0.0/8', [], ['10.0.0.0-10.255.255.255']],
    ['loses its middle', '10.0.0.0/24', ['10.0.0.64/26'], ['10.0.0.0-10.0.0.63', '10.0.0.128-10.0.0.255']],
    ['loses its first address', '10.0.0.0/30', ['10.0.0.0/32'], ['10.0.0.1-10.0.0.3']],
    ['loses its last address', '10.0.0.0/30', ['10.0.0.3/32'], ['10.0.0.0-10.0.0.2']],
    ['is nothing without itself', '10.0.0.0/8', ['10.0.0.0/8'], []],
    [
      'takes overlapping and repeated ones in any order',
      '10.0.0.0/29',
      ['10.0.0.4/31', '10.0.0.4/30', '10.0.0.4/32'],
      ['10.0.0.0-10.0.0.3'],
    ],
    [
      'joins neighbours into one gap',
      '10.0.0.0/29',
      ['10.0.0.2/31', '10.0.0.4/31'],
      ['10.0.0.0-10.0.0.1', '10.0.0.6-10.0.0.7'],
    ],
    ['may be all of IPv4', '0.0.0.0/0', ['0.0.0.0/1', '255.255.255.255/32'], ['128.0.0.0-255.255.255.254']],
    ['may be all of IPv6', '::/0', ['8000::/1'], ['::-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']],
    ['is not touched by the other family', '::/120', ['0.0.0.0/0'], ['::-::ff']],
    [
      'counts beyond 2^53 without loss',
      '2001:db8::/32',
      ['2001:db8::1/128'],
      ['2001:db8::-2001:db8::', '2001:db8::2-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
    ],
  ];
  for (const [what, network, except, left] of cases) {
    it(what, () => assert.deepEqual(subtract(range(network), except.map(range)).map(text), left));
  }

  for (const family of [4, 6] as const) {
    it(`has the same IPv${family} addresses as when each is looked at alone`, () => {
      const base = parseAddress(NETWORKS[family])?.value ?? 0n;
      const bits = family === 4 ? 32 : 128;
      const cidr = fc
        .tuple(fc.integer({ min: 0, max: ADDRESSES - 1 }), fc.integer({ min: bits - 8, max: bits }))
        .map(([offset, prefix]) => `${formatAddress(family, base + BigInt(offset))}/${prefix}`);
      fc.assert(
        fc.property(cidr, fc.array(cidr, { maxLength: 8 }), (network, except) => {
          const left = subtract(range(network), except.map(range));
          for (let offset = 0; offset < ADDRESSES; offset++) {
            const address = base + BigInt(offset);
            const expected = isIn(network, family, address) && !except.some((one) => isIn(one, family, address));
            const hits = left.filter(({ first, last }) => first <= address && address <= last).length;
            assert.equal(hits, expected ? 1 : 0, `${formatAddress(family, address)} in ${network} without ${except}`);
          }
          for (const [index, { first }] of left.entries()) {
            assert.ok(index === 0 || (left[index - 1]?.last ?? first) + 1n < first, 'neighbours are one range');
          }
        }),
        { numRuns: 300 },
      );
    });
  }
});

/** Bit by bit, in text: shares nothing with what is tested but the reading of one address. */
function isIn(cidr: string, family: Family, address: bigint): boolean {
  const [network = '', prefix = ''] = cidr.split('/');
  const bits = (value: bigint): string => value.toString(2).padStart(family === 4 ? 32 : 128, '0');
  return bits(parseAddress(network)?.value ?? 0n).slice(0, Number(prefix)) === bits(address).slice(0, Number(prefix));
}

describe('an address', () => {
  const cases: [text: string, canonical: string | undefined][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['10.1', undefined],
    ['010.0.0.1', undefined],
    ['10.0.0.256', undefined],
    ['fe80::1%eth0', undefined],
    ['2130706433', undefined],
    ['', undefined],
  ];
  for (const [written, canonical] of cases) {
    it(`${JSON.stringify(written)} is ${canonical ?? 'none'}`, () => {
      const address = parseAddress(written);
      assert.equal(address && formatAddress(address.family, address.value), canonical);
    });
  }
});
