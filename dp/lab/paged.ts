// For tests: frames whose headers lie in a page of their own, not in the packet’s linear part, as some drivers hand over.
import { spawnSync } from 'node:child_process';
import { type Ends, ip, udp } from '../bpf/packets.ts';
import { PROTOCOL } from '../protocol/values.ts';

/** The kernel takes `hdr_len` for the linear part; frames below a page are linear all the same. */
const SCRIPT = `
import socket, struct, sys
SOL_PACKET, PACKET_VNET_HDR, ETHERNET_BYTES = 263, 15, 14
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
sender.bind((sys.argv[1], 0))
sender.send(struct.pack('<BBHHHH', 0, 0, ETHERNET_BYTES, 0, 0, 0) + sys.stdin.buffer.read())
`;
const IP_AT = 14;
const IP_CHECKSUM_AT = IP_AT + 10;
const UDP_AT = IP_AT + 20;

/** Sends a datagram from an interface of a namespace; the text should fill more than a page. */
export function sendPaged(namespace: string, iface: string, ends: Ends, port: number, text: string): void {
  const datagram = udp({ sourcePort: 6999, destinationPort: port }, Buffer.from(text));
  const frame = Buffer.from(ip(ends, PROTOCOL.udp, datagram));
  frame.writeUInt16BE(checksum(frame.subarray(IP_AT, UDP_AT)), IP_CHECKSUM_AT);
  const command = [`--net=${namespace}`, '--', 'python3', '-c', SCRIPT, iface];
  const { status, stderr } = spawnSync('nsenter', command, { input: frame, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** RFC 1071. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
}
