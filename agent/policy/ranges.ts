// Ranges of addresses: read from the published form, merged so that a policy needs few rules, written for dp.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Family = 'ipv4' | 'ipv6';
/** Both ends belong to it; `first` is never above `last`. */
export type AddressRange = { readonly family: Family; readonly first: bigint; readonly last: bigint };

const BITS = { ipv4: 32, ipv6: 128 } as const;
export const EVERY_ADDRESS: Readonly<Record<Family, AddressRange>> = {
  ipv4: { family: 'ipv4', first: 0n, last: (1n << 32n) - 1n },
  ipv6: { family: 'ipv6', first: 0n, last: (1n << 128n) - 1n },
};

/** Reads `A`, `A-B` or `A/N`. Throws RangeError where it is none of these. */
export function parseRange(text: string): AddressRange {
  const [from = '', to = from, ...more] = text.split('-');
  if (more.length > 0) throw new RangeError(`${text} is not an address, a range or a network`);
  if (from.includes('/')) return parseNetwork(from);
  const [first, last] = [parseAddress(from), parseAddress(to)];
  if (first.family !== last.family)
    throw new RangeError(`${text} begins in ${first.family} and ends in ${last.family}`);
  if (first.value > last.value) throw new RangeError(`${text} ends before it begins`);
  return { family: first.family, first: first.value, last: last.value };
}

/** The same addresses in the fewest ranges, IPv4 first, in rising order. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of ranges.toSorted(compareRanges)) {
    const before = merged.at(-1);
    if (before && before.family === range.family && range.first <= before.last + 1n) {
      if (range.last > before.last) merged[merged.length - 1] = { ...before, last: range.last };
    } else merged.push(range);
  }
  return merged;
}

export function formatAddress(family: Family, value: bigint): string {
  const bytes = Array.from({ length: BITS[family] / 8 }, (_, i) =>
    Number((value >> BigInt(BITS[family] - 8 * (i + 1))) & 0xffn),
  );
  return ipaddr.fromByteArray(bytes).toString();
}

/** An IPv6 address that others than the neighbours may reach. */
export function isGlobalIpv6(text: string): boolean {
  const address = ipaddr.parse(text);
  return address.kind() === 'ipv6' && !['linkLocal', 'loopback', 'unspecified'].includes(address.range());
}

export const isLinkLocal = (text: string): boolean => ipaddr.parse(text).range() === 'linkLocal';

function compareRanges(a: AddressRange, b: AddressRange): number {
  if (a.family !== b.family) return a.family === 'ipv4' ? -1 : 1;
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.last < b.last ? -1 : Number(a.last > b.last);
}

function parseNetwork(text: string): AddressRange {
  const [address = '', prefix = ''] = text.split('/', 2);
  const { family, value } = parseAddress(address);
  if (!/^\d+$/.test(prefix) || Number(prefix) > BITS[family] || text !== `${address}/${prefix}`)
    throw new RangeError(`${text} is not a network`);
  const hostBits = BigInt(BITS[family] - Number(prefix));
  const first = (value >> hostBits) << hostBits;
  return { family, first, last: first + (1n << hostBits) - 1n };
}

/** Not by ipaddr.js alone, which also reads forms such as 10.1 and 010.0.0.1. */
function parseAddress(text: string): { family: Family; value: bigint } {
  if (isIP(text) === 0) throw new RangeError(`${text} is not an IP address`);
  const address = ipaddr.process(text);
  return { family: address.kind(), value: toNumber(address.toByteArray()) };
}

const toNumber = (bytes: readonly number[]): bigint => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
