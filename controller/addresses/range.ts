// Addresses as numbers and as closed ranges of them, IPv4 and IPv6 apart.
import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;
/** Both ends belong to it; first <= last. */
export type AddressRange = { readonly family: Family; readonly first: bigint; readonly last: bigint };

const BITS = { 4: 32, 6: 128 } as const;
const DIGITS = /^\d{1,3}$/;

/** Undefined where the text is no address; a zone (fe80::1%eth0) is none. */
export function parseAddress(text: string): { readonly family: Family; readonly value: bigint } | undefined {
  if (text.includes('%') || !(ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text))) return undefined;
  const bytes = ipaddr.parse(text).toByteArray();
  const value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** The shortest form (RFC 5952 for IPv6). */
export function formatAddress(family: Family, value: bigint): string {
  const hex = value.toString(16).padStart(BITS[family] / 4, '0');
  return ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]).toString();
}

/** The address in its shortest form, or as it is where it is no address. */
export function canonicalAddress(text: string): string {
  const address = parseAddress(text);
  return address ? formatAddress(address.family, address.value) : text;
}

/** The whole network, also where the text names an address inside it. */
export function parseCidr(text: string): (AddressRange & { readonly prefix: number }) | undefined {
  const [network = '', length = '', ...rest] = text.split('/');
  const address = parseAddress(network);
  const prefix = Number(length);
  if (!address || rest.length > 0 || !DIGITS.test(length) || prefix > BITS[address.family]) return undefined;
  const hostBits = BigInt(BITS[address.family] - prefix);
  const first = (address.value >> hostBits) << hostBits;
  return { family: address.family, first, last: first + (1n << hostBits) - 1n, prefix };
}

/** `first-last` as written: first may be after last. Undefined where the ends are no addresses of one family. */
export function parseEnds(text: string): AddressRange | undefined {
  const [first = '', last = '', ...rest] = text.split('-');
  const from = parseAddress(first);
  const to = parseAddress(last);
  if (!from || !to || rest.length > 0 || from.family !== to.family) return undefined;
  return { family: from.family, first: from.value, last: to.value };
}

export const contains = (outer: AddressRange, inner: AddressRange): boolean =>
  outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;

export const isWithin = (
  { family, value }: { readonly family: Family; readonly value: bigint },
  range: AddressRange,
): boolean => family === range.family && range.first <= value && value <= range.last;

/** What is left of a range without the others: disjoint, ascending, as few as possible. */
export function subtract(range: AddressRange, excluded: readonly AddressRange[]): AddressRange[] {
  const left: AddressRange[] = [];
  let next = range.first;
  for (const { family, first, last } of [...excluded].sort((a, b) => (a.first < b.first ? -1 : 1))) {
    if (family !== range.family || last < next) continue;
    if (first > range.last) break;
    if (first > next) left.push({ family, first: next, last: first - 1n });
    next = last + 1n;
  }
  if (next <= range.last) left.push({ family: range.family, first: next, last: range.last });
  return left;
}

const isMapped = ({ family, value }: { readonly family: Family; readonly value: bigint }): boolean =>
  family === 6 && value >> 32n === 0xffffn;

/** The IPv4 address that an IPv6 text (::ffff:10.0.0.1) stands for; undefined for every other text. */
export function mappedIpv4(text: string): string | undefined {
  const address = parseAddress(text);
  return address && isMapped(address) ? formatAddress(4, address.value & 0xffff_ffffn) : undefined;
}

/** 169.254/16 and fe80::/10 (one link's own), 127/8 and ::1 (one host's own): no peer is found by them. */
export function isLocal(text: string): boolean {
  if (!(ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text))) return false;
  return ['linkLocal', 'loopback', 'unspecified'].includes(ipaddr.parse(text).range());
}
