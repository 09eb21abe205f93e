// TCP packets for test runs. Pure.
import { macBytes } from '../../dp/kernel/address.ts';

export const TCP_FLAG = { syn: 0x02, ack: 0x10 } as const;

export type TcpPacket = {
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: number;
  readonly payloadBytes: number;
};

const HEADERS = 54; // Ethernet, IPv4 and TCP without options
const octets = (ip: string): number[] => ip.split('.').map(Number);

/** Checksums are left out: the programs do not look at them. */
export function tcpPacket(packet: TcpPacket): Uint8Array {
  const bytes = new Uint8Array(HEADERS + packet.payloadBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(macBytes(packet.destinationMac), 0);
  bytes.set(macBytes(packet.sourceMac), 6);
  view.setUint16(12, 0x0800);
  bytes[14] = 0x45;
  view.setUint16(16, bytes.length - 14);
  bytes[22] = 64; // TTL
  bytes[23] = 6; // TCP
  bytes.set(octets(packet.source), 26);
  bytes.set(octets(packet.destination), 30);
  view.setUint16(34, packet.sourcePort);
  view.setUint16(36, packet.destinationPort);
  bytes[46] = 5 << 4;
  bytes[47] = packet.flags;
  return bytes;
}
