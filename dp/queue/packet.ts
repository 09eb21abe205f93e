// Reads an IP packet's headers as the kernel programs do (bpf/include/packet.h), up to its transport payload. Pure.
import { hasPorts, PROTOCOL } from '../protocol/values.ts';

/** `passed`: neighbour discovery, which is never policed. */
export type PacketKind = 'invalid' | 'passed' | 'flow' | 'fragment' | 'icmpError';

export type Packet = {
  kind: PacketKind;
  isIpv6: boolean;
  /** Hexadecimal digits: 8 of IPv4, 32 of IPv6; empty where the packet ends before them. */
  source: string;
  destination: string;
  protocol: number;
  /** An ICMP echo's identifier is the port of who asks. */
  sourcePort: number;
  destinationPort: number;
  tcpFlags: number;
  sequence: number;
  /** 0: no payload that is looked at. */
  payloadAt: number;
  payloadBytes: number;
  fragmentId: number;
  isFirstFragment: boolean;
  icmpType: number;
  icmpCode: number;
  /** Where what an ICMP error quotes begins. */
  quotedAt: number;
  hopLimit: number;
};

export const TCP = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;
const EXTENSION_HEADERS = 6;
const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, destination: 60 } as const;
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];
const UDP_BYTES = 8;
const ICMP_BYTES = 8;
/** That must be there: of TCP up to its flags. */
const HEADER_BYTES: Readonly<Record<number, number>> = {
  [PROTOCOL.tcp]: 14,
  [PROTOCOL.udp]: UDP_BYTES,
  [PROTOCOL.sctp]: 12,
};
const ECHO = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;
/** ::ffff:a.b.c.d never comes by IPv6. */
const MAPPED = '00000000000000000000ffff';

/** `bytes` begins with the IP header and may be cut; `length` is that of the whole packet. */
export function readPacket(bytes: Buffer, length: number): Packet {
  const packet = emptyPacket();
  const end = readNetwork(bytes, 0, packet);
  if (packet.kind === 'flow') readTransport(bytes, end.at, packet);
  if (packet.kind === 'flow') findPayload(packet, end.ipEnd || length, length);
  return packet;
}

/** The packet that an ICMP error quotes, as far as its flow is told by it: 8 bytes behind its IP header suffice. */
export function readQuoted(bytes: Buffer, error: Packet): Packet {
  const packet = emptyPacket();
  const { at } = readNetwork(bytes, error.quotedAt, packet);
  if (packet.kind !== 'flow' || packet.isIpv6 !== error.isIpv6) return packet;
  if (bytes.length < at + 8) packet.kind = 'invalid';
  else if (hasPorts(packet.protocol)) readPorts(bytes, at, packet);
  else if (packet.protocol === icmpOf(packet)) readEcho(bytes, at, packet);
  return packet;
}

const emptyPacket = (): Packet => ({
  kind: 'invalid',
  isIpv6: false,
  source: '',
  destination: '',
  protocol: 0,
  sourcePort: 0,
  destinationPort: 0,
  tcpFlags: 0,
  sequence: 0,
  payloadAt: 0,
  payloadBytes: 0,
  fragmentId: 0,
  isFirstFragment: false,
  icmpType: 0,
  icmpCode: 0,
  quotedAt: 0,
  hopLimit: 0,
});

/** Where the transport header is, and where the IP packet ends; 0: with the frame. */
type NetworkEnd = { readonly at: number; readonly ipEnd: number };
const NOWHERE: NetworkEnd = { at: 0, ipEnd: 0 };

function readNetwork(bytes: Buffer, start: number, packet: Packet): NetworkEnd {
  const version = bytes.length > start ? bytes.readUInt8(start) >> 4 : 0;
  packet.isIpv6 = version === 6;
  if (version === 4) return readIpv4(bytes, start, packet);
  return version === 6 ? readIpv6(bytes, start, packet) : NOWHERE;
}

function readIpv4(bytes: Buffer, start: number, packet: Packet): NetworkEnd {
  if (bytes.length < start + 20) return NOWHERE;
  const headerBytes = (bytes.readUInt8(start) & 15) * 4;
  const total = bytes.readUInt16BE(start + 2);
  if (headerBytes < 20 || (total && total < headerBytes)) return NOWHERE;
  const fragment = bytes.readUInt16BE(start + 6);
  packet.source = bytes.toString('hex', start + 12, start + 16);
  packet.destination = bytes.toString('hex', start + 16, start + 20);
  packet.protocol = bytes.readUInt8(start + 9);
  packet.fragmentId = bytes.readUInt16BE(start + 4);
  packet.isFirstFragment = (fragment & 0x2000) !== 0;
  packet.kind = fragment & 0x1fff ? 'fragment' : 'flow';
  return { at: start + headerBytes, ipEnd: total ? start + total : 0 };
}

function readIpv6(bytes: Buffer, start: number, packet: Packet): NetworkEnd {
  if (bytes.length < start + 40) return NOWHERE;
  const payloadBytes = bytes.readUInt16BE(start + 4);
  packet.source = bytes.toString('hex', start + 8, start + 24);
  packet.destination = bytes.toString('hex', start + 24, start + 40);
  packet.hopLimit = bytes.readUInt8(start + 7);
  if (packet.source.startsWith(MAPPED) || packet.destination.startsWith(MAPPED)) return NOWHERE;
  const at = readExtensions(bytes, start + 40, bytes.readUInt8(start + 6), packet);
  return { at, ipEnd: payloadBytes ? start + 40 + payloadBytes : 0 };
}

/** Sets the packet's kind; answers where the transport header is. */
function readExtensions(bytes: Buffer, start: number, first: number, packet: Packet): number {
  let [at, next] = [start, first];
  for (let i = 0; i <= EXTENSION_HEADERS; i++) {
    packet.protocol = next;
    const isFragment = next === EXTENSION.fragment;
    if (!isFragment && next !== EXTENSION.hopByHop && next !== EXTENSION.routing && next !== EXTENSION.destination) {
      packet.kind = 'flow';
      return at;
    }
    if (bytes.length < at + 8) return 0;
    next = bytes.readUInt8(at);
    if (isFragment) {
      const offset = bytes.readUInt16BE(at + 2);
      packet.protocol = next;
      packet.fragmentId = bytes.readUInt32BE(at + 4);
      packet.isFirstFragment = (offset & 1) !== 0;
      packet.kind = 'fragment';
      if (offset & 0xfff8) return 0;
      packet.kind = 'invalid'; // until the rest was read
    }
    at += isFragment ? 8 : (bytes.readUInt8(at + 1) + 1) * 8;
  }
  return 0;
}

const icmpOf = ({ isIpv6 }: Packet): number => (isIpv6 ? PROTOCOL.icmpv6 : PROTOCOL.icmp);

function readPorts(bytes: Buffer, at: number, packet: Packet): void {
  packet.sourcePort = bytes.readUInt16BE(at);
  packet.destinationPort = bytes.readUInt16BE(at + 2);
}

/** Request and reply carry one identifier: it is the port of who asks, so that the other side can't ask too. */
function readEcho(bytes: Buffer, at: number, packet: Packet): void {
  const { request, reply } = ECHO[packet.isIpv6 ? 6 : 4];
  const type = bytes.readUInt8(at);
  if (type === request) packet.sourcePort = bytes.readUInt16BE(at + 4);
  else if (type === reply) packet.destinationPort = bytes.readUInt16BE(at + 4);
}

function readTransport(bytes: Buffer, at: number, packet: Packet): void {
  const { protocol } = packet;
  if (!hasPorts(protocol) && protocol !== icmpOf(packet)) return;
  if (bytes.length < at + (HEADER_BYTES[protocol] ?? ICMP_BYTES)) {
    packet.kind = 'invalid';
  } else if (protocol === PROTOCOL.tcp) {
    readTcp(bytes, at, packet);
  } else if (hasPorts(protocol)) {
    readPorts(bytes, at, packet);
    packet.payloadAt = protocol === PROTOCOL.udp ? at + UDP_BYTES : 0;
  } else {
    readIcmp(bytes, at, packet);
  }
}

function readTcp(bytes: Buffer, at: number, packet: Packet): void {
  const headerBytes = (bytes.readUInt8(at + 12) >> 4) * 4;
  if (headerBytes < 20) {
    packet.kind = 'invalid';
    return;
  }
  readPorts(bytes, at, packet);
  packet.sequence = bytes.readUInt32BE(at + 4);
  packet.tcpFlags = bytes.readUInt8(at + 13);
  packet.payloadAt = at + headerBytes;
}

function readIcmp(bytes: Buffer, at: number, packet: Packet): void {
  packet.icmpType = bytes.readUInt8(at);
  packet.icmpCode = bytes.readUInt8(at + 1);
  packet.quotedAt = at + 8;
  const isError = packet.isIpv6 ? packet.icmpType >= 1 && packet.icmpType <= 4 : ICMP_ERRORS.includes(packet.icmpType);
  if (packet.isIpv6 && isNeighbourDiscovery(packet)) packet.kind = 'passed';
  else if (isError) packet.kind = 'icmpError';
  else readEcho(bytes, at, packet);
}

/** RFC 4861, RFC 2710, RFC 3810: what a router has forwarded, or would, is none of these. */
function isNeighbourDiscovery({ icmpType, hopLimit }: Packet): boolean {
  if (icmpType >= 133 && icmpType <= 137) return hopLimit === 255;
  return ((icmpType >= 130 && icmpType <= 132) || icmpType === 143) && hopLimit === 1;
}

function findPayload(packet: Packet, end: number, length: number): void {
  if (end > length || packet.payloadAt > end) packet.kind = 'invalid';
  else packet.payloadBytes = packet.payloadAt ? end - packet.payloadAt : 0;
}
