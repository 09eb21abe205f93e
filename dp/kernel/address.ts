// Addresses as the kernel programs have them (two halves) and as the classifier has them (four words).
import ipaddr from 'ipaddr.js';
import { ETHER_TYPE } from '../protocol/address.ts';
import type { Address as KernelAddress } from './abi.gen.ts';

/** The four 32-bit words of an IPv6 address, most significant first; IPv4 is ::ffff:a.b.c.d. */
export type Words = readonly [number, number, number, number];

export function compareAddress(a: Words, b: Words): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

const MAPPED = 0xffff;

/** `text` is an address: checked where it came in. */
export function wordsOf(text: string): Words {
  if (!text.includes(':')) return [0, 0, MAPPED, ipv4Word(text)];
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = ipaddr.IPv6.parse(text).parts;
  return [a * 0x10000 + b, c * 0x10000 + d, e * 0x10000 + f, g * 0x10000 + h];
}

/** A policy has thousands of these: a plain loop is ten times as fast as the library. */
function ipv4Word(text: string): number {
  let word = 0;
  let part = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0) {
      part = part * 10 + digit;
    } else {
      word = word * 256 + part;
      part = 0;
    }
  }
  return word * 256 + part;
}

export function kernelAddressOf(text: string): KernelAddress {
  const [a, b, c, d] = wordsOf(text);
  return { high: (BigInt(a) << 32n) | BigInt(b), low: (BigInt(c) << 32n) | BigInt(d) };
}

/** The shortest text form; an IPv4-mapped address as IPv4. */
export function textOf({ high, low }: KernelAddress): string {
  const parts = [high, low].flatMap((half) => [48n, 32n, 16n, 0n].map((shift) => Number((half >> shift) & 0xffffn)));
  const address = new ipaddr.IPv6(parts);
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString();
}

const MAPPED_HALF = 0xffffn;

/** As reports have it (dp/protocol/address.ts). A busy node has many thousands of these: no text in between. */
export function packedOf({ high, low }: KernelAddress): { readonly etherType: number; readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  if (high === 0n && low >> 32n === MAPPED_HALF) {
    view.setUint32(0, Number(low & 0xffff_ffffn));
    return { etherType: ETHER_TYPE.ipv4, bytes };
  }
  view.setBigUint64(0, high);
  view.setBigUint64(8, low);
  return { etherType: ETHER_TYPE.ipv6, bytes };
}

export const macBytes = (mac: string): Uint8Array =>
  Uint8Array.from(mac.split(':'), (part) => Number.parseInt(part, 16));
export const macText = (mac: Uint8Array): string =>
  Buffer.from(mac)
    .toString('hex')
    .replace(/..(?!$)/g, '$&:');
