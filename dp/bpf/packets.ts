// Builds frames for tests, layer by layer; checksums are left at zero, as nothing here reads them. Pure.
import ipaddr from 'ipaddr.js';
import { macBytes } from '../kernel/address.ts';
import { ETHER_TYPE } from '../protocol/address.ts';
import { PROTOCOL } from '../protocol/values.ts';

export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;
export const VLAN = { customer: 0x8100, service: 0x88a8 } as const;
export const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, none: 59, destination: 60 } as const;

const IPV4_HEADER_BYTES = 20;
const TTL = 64;

export type Ends = {
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
};

/** `offset` in bytes, a multiple of 8. */
export type Fragment = { readonly id: number; readonly offset: number; readonly isLast: boolean };

export type IpOptions = {
  /** Outermost first. */
  readonly vlans?: readonly number[];
  readonly fragment?: Fragment;
  /** IPv4: the header's options, padded to 4 bytes. */
  readonly options?: Uint8Array;
  /** IPv6: extension headers of 8 bytes in front of the transport header, by their numbers. */
  readonly extensions?: readonly number[];
};

const u16 = (value: number): number[] => [value >> 8, value & 0xff];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];
const addressBytes = (text: string): number[] => ipaddr.parse(text).toByteArray();

export function ethernet(
  ends: Ends,
  etherType: number,
  payload: Uint8Array,
  vlans: readonly number[] = [],
): Uint8Array {
  const types = [...vlans, etherType];
  const tags = types.slice(1).flatMap((type) => [...u16(7), ...u16(type)]); // any VLAN id
  const head = [...macBytes(ends.destinationMac), ...macBytes(ends.sourceMac), ...u16(types[0] ?? etherType), ...tags];
  return Uint8Array.of(...head, ...payload);
}

/** A frame with an IP packet; the family is that of the addresses. */
export function ip(ends: Ends, protocol: number, payload: Uint8Array, options: IpOptions = {}): Uint8Array {
  return ends.source.includes(':') ? ipv6(ends, protocol, payload, options) : ipv4(ends, protocol, payload, options);
}

function ipv4(
  ends: Ends,
  protocol: number,
  payload: Uint8Array,
  { vlans, fragment, options = new Uint8Array() }: IpOptions,
) {
  const headerBytes = IPV4_HEADER_BYTES + options.length;
  const more = fragment && !fragment.isLast ? 0x2000 : 0;
  const header = [
    0x40 | (headerBytes / 4),
    0,
    ...u16(headerBytes + payload.length),
    ...u16(fragment?.id ?? 0),
    ...u16(more | ((fragment?.offset ?? 0) >> 3)),
    TTL,
    protocol,
    0,
    0,
    ...addressBytes(ends.source),
    ...addressBytes(ends.destination),
    ...options,
  ];
  return ethernet(ends, ETHER_TYPE.ipv4, Uint8Array.of(...header, ...payload), vlans);
}

function ipv6(ends: Ends, protocol: number, payload: Uint8Array, { vlans, fragment, extensions = [] }: IpOptions) {
  const kinds = [...(fragment ? [EXTENSION.fragment] : []), ...extensions];
  const chain = [...kinds, protocol];
  const headers = kinds.flatMap((kind, i) => {
    const next = chain[i + 1] ?? protocol;
    if (kind !== EXTENSION.fragment || !fragment) return [next, 0, 1, 4, 0, 0, 0, 0]; // PadN over what is left
    return [next, 0, ...u16(fragment.offset | (fragment.isLast ? 0 : 1)), ...u32(fragment.id)];
  });
  const bytes = headers.length + payload.length;
  const header = [0x60, 0, 0, 0, ...u16(bytes), chain[0] ?? protocol, TTL];
  const packet = [...header, ...addressBytes(ends.source), ...addressBytes(ends.destination), ...headers, ...payload];
  return ethernet(ends, ETHER_TYPE.ipv6, Uint8Array.from(packet), vlans);
}

export type Ports = { readonly sourcePort: number; readonly destinationPort: number };
export type TcpSegment = Ports & { readonly flags: number; readonly sequence?: number; readonly payload?: Uint8Array };

export function tcp({
  sourcePort,
  destinationPort,
  flags,
  sequence = 0,
  payload = new Uint8Array(),
}: TcpSegment): Uint8Array {
  const header = [...u16(sourcePort), ...u16(destinationPort), ...u32(sequence), ...u32(0), 0x50, flags];
  return Uint8Array.of(...header, ...u16(0xffff), 0, 0, 0, 0, ...payload);
}

/** The first segment of a connection. */
export const syn = (destinationPort: number): Uint8Array =>
  tcp({ sourcePort: 40_000, destinationPort, flags: TCP_FLAG.syn });

export function udp({ sourcePort, destinationPort }: Ports, payload: Uint8Array = new Uint8Array()): Uint8Array {
  return Uint8Array.of(...u16(sourcePort), ...u16(destinationPort), ...u16(8 + payload.length), 0, 0, ...payload);
}

/** The common header and the start of an INIT chunk. */
export const sctp = ({ sourcePort, destinationPort }: Ports): Uint8Array =>
  Uint8Array.of(...u16(sourcePort), ...u16(destinationPort), ...u32(0), ...u32(0), 1, 0, 0, 20, ...u32(1));

/** ICMP or ICMPv6; `rest` is the second word: identifier and sequence number of an echo. */
export function icmp(type: number, code: number, rest: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  return Uint8Array.of(type, code, 0, 0, ...u32(rest), ...payload);
}

export const icmpProtocolOf = (address: string): number => (address.includes(':') ? PROTOCOL.icmpv6 : PROTOCOL.icmp);
