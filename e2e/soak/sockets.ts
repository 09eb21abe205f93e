// Sockets of other network namespaces in this process: what a socket belongs to is where its maker was.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import koffi from 'koffi';
import { KernelError } from '../../dp/kernel/libbpf.ts';
import { bind, close, connect, sendto, socket } from '../../dp/kernel/libc.ts';

const lib = koffi.load('libc.so.6');
const setns = lib.func('int setns(int fd, int type)');
const setsockopt = lib.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** Far more than comes in while this process does something else. */
const RECEIVE_BYTES = 8 * 2 ** 20;

export type End = { readonly ip: string; readonly port: number };

/** Runs something with this thread in a network namespace (/run/netns/…). Not across an await. */
export function inNamespace<T>(path: string, run: () => T): T {
  const own = openSync('/proc/self/ns/net', 'r');
  try {
    const other = openSync(path, 'r');
    try {
      enter(other);
    } finally {
      closeSync(other);
    }
    try {
      return run();
    } finally {
      enter(own);
    }
  } finally {
    closeSync(own);
  }
}

function enter(fd: number): void {
  if (setns(fd, 0) !== 0) throw new KernelError('setns', -koffi.errno());
}

/** Bound, with room for bursts. */
export async function datagramSocket(namespace: string, end: End): Promise<DatagramSocket> {
  const fd = boundSocket(namespace, SOCK_DGRAM | SOCK_CLOEXEC_NONBLOCK, end);
  const datagrams = createSocket('udp4');
  const isListening = once(datagrams, 'listening'); // it says so before bind returns
  datagrams.bind({ fd });
  await isListening;
  return datagrams;
}

export async function tcpServer(namespace: string, end: End, onConnection: (socket: Socket) => void): Promise<Server> {
  const fd = boundSocket(namespace, SOCK_STREAM | SOCK_CLOEXEC_NONBLOCK, end);
  const server = createServer(onConnection);
  server.listen({ fd });
  await once(server, 'listening');
  return server;
}

/** Connects to a server that listens already: the handshake is the kernel's alone. */
export function tcpClient(namespace: string, to: End): Socket {
  const fd = inNamespace(namespace, () => {
    const made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect(made, addressOf(to), ADDRESS_BYTES);
    return made;
  });
  return new Socket({ fd, readable: true, writable: true });
}

function boundSocket(namespace: string, type: number, end: End): number {
  return inNamespace(namespace, () => {
    const fd = socket(AF_INET, type, 0);
    const bytes = Int32Array.of(RECEIVE_BYTES);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes, bytes.byteLength) !== 0)
      throw new KernelError('setsockopt', -koffi.errno());
    bind(fd, addressOf(end), ADDRESS_BYTES);
    return fd;
  });
}

const IP_BYTES = 20;
const UDP_BYTES = 8;
const UDP = 17;
const TTL = 64;

/** Sends datagrams from any port, without a socket for each. */
export class PortlessSender implements Disposable {
  readonly #fd: number;

  constructor(namespace: string) {
    this.#fd = inNamespace(namespace, () => socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC_NONBLOCK, IPPROTO_RAW));
  }

  send(from: End, to: End, text: string): void {
    const payload = Buffer.from(text);
    const packet = Buffer.alloc(IP_BYTES + UDP_BYTES + payload.length);
    packet.writeUInt8(0x45, 0);
    packet.writeUInt8(TTL, 8);
    packet.writeUInt8(UDP, 9); // the kernel fills in length, id and checksum: raw(7)
    ipBytes(from.ip).copy(packet, 12);
    ipBytes(to.ip).copy(packet, 16);
    packet.writeUInt16BE(from.port, IP_BYTES);
    packet.writeUInt16BE(to.port, IP_BYTES + 2);
    packet.writeUInt16BE(UDP_BYTES + payload.length, IP_BYTES + 4); // and no checksum: RFC 768
    payload.copy(packet, IP_BYTES + UDP_BYTES);
    sendto(this.#fd, packet, packet.length, 0, addressOf({ ip: to.ip, port: 0 }), ADDRESS_BYTES);
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

const ADDRESS_BYTES = 16;
const ipBytes = (ip: string): Buffer => Buffer.from(ip.split('.').map(Number));

/** struct sockaddr_in */
function addressOf({ ip, port }: End): Buffer {
  const address = Buffer.alloc(ADDRESS_BYTES);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(port, 2);
  ipBytes(ip).copy(address, 4);
  return address;
}

/** What a namespace's own network has counted, as in /proc/net/snmp: "Udp RcvbufErrors" → 0. */
export function networkCounters(namespace: string): ReadonlyMap<string, number> {
  const lines = inNamespace(namespace, () => readFileSync('/proc/self/net/snmp', 'utf8'))
    .trim()
    .split('\n');
  const counters = new Map<string, number>();
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [protocol = '', ...names] = (lines[at] ?? '').split(/\s+/);
    const [, ...values] = (lines[at + 1] ?? '').split(/\s+/);
    for (const [i, name] of names.entries()) counters.set(`${protocol.replace(':', '')} ${name}`, Number(values[i]));
  }
  return counters;
}
