// Ranges of addresses, and the sweep over many of them in ascending order. Pure.
import { type Words as Address, compareAddress } from '../kernel/address.ts';

/** Both ends belong to the range. */
export type AddressRange = { readonly from: Address; readonly to: Address };

export const FIRST_ADDRESS: Address = [0, 0, 0, 0];
/** What comes after the last address. */
export const AFTER_ALL: Address = [2 ** 32, 0, 0, 0];

const MAX_WORD = 0xffffffff;
/** That many addresses of IPv4 fit one 53-bit number each with their index: sorting then needs no comparator. */
const MAX_SORTED = 2 ** 20;

/** The address after this one. */
export function successor([a, b, c, d]: Address): Address {
  if (d !== MAX_WORD) return [a, b, c, d + 1];
  if (c !== MAX_WORD) return [a, b, c + 1, 0];
  if (b !== MAX_WORD) return [a, b + 1, 0, 0];
  return a === MAX_WORD ? AFTER_ALL : [a + 1, 0, 0, 0];
}

export const isWithin = (address: Address, { from, to }: AddressRange): boolean =>
  compareAddress(from, address) <= 0 && compareAddress(address, to) <= 0;

export const isSameRange = (a: AddressRange, b: AddressRange): boolean =>
  compareAddress(a.from, b.from) === 0 && compareAddress(a.to, b.to) === 0;

/** What two ranges have in common, if anything. */
export function intersection(a: AddressRange, b: AddressRange): AddressRange | undefined {
  const from = compareAddress(a.from, b.from) < 0 ? b.from : a.from;
  const to = compareAddress(a.to, b.to) > 0 ? b.to : a.to;
  return compareAddress(from, to) > 0 ? undefined : { from, to };
}

/** Which ranges hold the address that the sweep has come to, by their index. */
export type Active = { add(index: number): void; remove(index: number): void };

/** Keeps `active` up to date, and calls `at` for every address where it changed, first at ::. */
export function sweep(ranges: readonly AddressRange[], active: Active, at: (start: Address) => void): void {
  const edges: Address[] = []; // 2i: where range i begins, 2i + 1: the first address past it
  for (const { from, to } of ranges) edges.push(from, successor(to));
  let start = FIRST_ADDRESS;
  for (const edge of inOrder(edges)) {
    const address = edges[edge] as Address;
    if (compareAddress(start, address) !== 0) at(start);
    start = address;
    if (edge & 1) active.remove(edge >> 1);
    else active.add(edge >> 1);
  }
  if (start !== AFTER_ALL) at(start);
}

/** The indexes of the addresses in ascending order of these. */
function inOrder(addresses: readonly Address[]): Float64Array | Uint32Array {
  const keys = new Float64Array(addresses.length);
  for (let i = 0; i < keys.length; i++) {
    const [a, b, c, d] = addresses[i] as Address;
    const isIpv4OrNext = a === 0 && b === 0 && (c === 0xffff || (c === 0x10000 && d === 0));
    if (!isIpv4OrNext || i >= MAX_SORTED) return inOrderOfAny(addresses);
    keys[i] = ((c - 0xffff) * 2 ** 32 + d) * MAX_SORTED + i;
  }
  keys.sort();
  for (let n = 0; n < keys.length; n++) keys[n] = (keys[n] as number) % MAX_SORTED;
  return keys;
}

const inOrderOfAny = (addresses: readonly Address[]): Uint32Array =>
  Uint32Array.from(addresses.keys()).sort((a, b) => compareAddress(addresses[a] as Address, addresses[b] as Address));
