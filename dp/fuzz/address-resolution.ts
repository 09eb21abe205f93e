// Whether a frame resolves addresses, and so passes whatever the policy: read apart from the kernel programs. Pure.
import { EXTENSION, VLAN } from '../bpf/packets.ts';
import { ETHER_TYPE } from '../protocol/address.ts';
import { PROTOCOL } from '../protocol/values.ts';

const MACS_BYTES = 12;
const TYPE_BYTES = 2;
const TAG_BYTES = 4;
const VLAN_TAGS = 2;
const IPV6_BYTES = 40;
const ICMP_BYTES = 8;
/** More of them, and a packet is invalid. */
const EXTENSION_HEADERS = 6;
const MAPPED_PREFIX = '00000000000000000000ffff';

/** ARP, or neighbour discovery and multicast listeners of IPv6, that came from no further than the next router. */
export function resolvesAddresses(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let at = MACS_BYTES;
  const isTag = (type: number): boolean => type === VLAN.customer || type === VLAN.service;
  for (let tags = 0; tags < VLAN_TAGS && isTag(view.getUint16(at)); tags++) {
    at += TAG_BYTES;
    if (at + TYPE_BYTES > frame.length) return false;
  }
  const etherType = view.getUint16(at);
  if (etherType === ETHER_TYPE.arp) return true;
  return etherType === ETHER_TYPE.ipv6 && isNeighbourDiscovery(frame.subarray(at + TYPE_BYTES));
}

function isNeighbourDiscovery(packet: Uint8Array): boolean {
  if (packet.length < IPV6_BYTES || (packet[0] ?? 0) >> 4 !== 6) return false;
  if ([8, 24].some((at) => Buffer.from(packet.subarray(at, at + 12)).toString('hex') === MAPPED_PREFIX)) return false;
  const type = icmpType(packet);
  const hopLimit = packet[7];
  if (type === undefined) return false;
  if (type >= 133 && type <= 137) return hopLimit === 255; // RFC 4861 6.1, 7.1, 8.1
  return ((type >= 130 && type <= 132) || type === 143) && hopLimit === 1; // RFC 2710 3, RFC 3810 5
}

/** Undefined where it is not ICMPv6, or not the first of it. */
function icmpType(packet: Uint8Array): number | undefined {
  const { hopByHop, routing, destination, fragment } = EXTENSION;
  let next = packet[6] ?? 0;
  let at = IPV6_BYTES;
  for (let headers = 0; next === hopByHop || next === routing || next === destination || next === fragment; headers++) {
    if (headers > EXTENSION_HEADERS || at + 2 > packet.length) return undefined;
    const view = new DataView(packet.buffer, packet.byteOffset + at, packet.length - at);
    const bytes = next === fragment ? 8 : 8 * (view.getUint8(1) + 1);
    if (at + bytes > packet.length) return undefined;
    if (next === fragment && view.getUint16(2) & 0xfff8) return undefined;
    next = view.getUint8(0);
    at += bytes;
    if (headers === EXTENSION_HEADERS) return undefined;
  }
  return next === PROTOCOL.icmpv6 && at + ICMP_BYTES <= packet.length ? packet[at] : undefined;
}
