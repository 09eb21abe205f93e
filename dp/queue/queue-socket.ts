// One netfilter queue: its socket, opened in the queue's network namespace, which it stays in.
import { readFileSync } from 'node:fs';
import { isKernelError, KernelError } from '../kernel/libbpf.ts';
import { bind, close, MSG_DONTWAIT, receiveNow, SOCK_RAW_CLOEXEC, sendto, setsockopt, socket } from '../kernel/libc.ts';
import { inNamespace } from '../kernel/namespace.ts';
import type { Port } from '../ports/ports.ts';
import {
  bindMessage,
  configMessage,
  failOpenMessage,
  type QueuedPacket,
  readMessage,
  unbindMessage,
  verdictMessage,
} from './messages.ts';

const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const ADDRESS_BYTES = 12; // struct sockaddr_nl
/** Of each packet: headers, with all extensions that are read, and what tells an application. */
const COPY_BYTES = 512;
const MESSAGE_BYTES = 4096;
/** Packets that may wait for a verdict. */
export const MAX_WAITING = 4096;
/** Room for all of these, as the kernel counts memory. */
const RECEIVE_BYTES = 16 * 1024 * 1024;
const EBUSY = 16;
const STATUS = '/proc/thread-self/net/netfilter/nfnetlink_queue';

export type QueueStatus = { readonly waiting: number; readonly dropped: number };

export class QueueSocket implements Disposable {
  readonly #port: Port;
  readonly fd: number;
  readonly #buffer = Buffer.alloc(MESSAGE_BYTES);
  readonly #address = new Uint8Array(ADDRESS_BYTES);
  readonly #early: QueuedPacket[] = [];

  /** Throws NamespaceError, and KernelError: EBUSY where another process reads the queue. */
  constructor(port: Port) {
    this.#port = port;
    this.fd = inNamespace(port.netns, () => socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_NETFILTER));
    try {
      const address = new Uint8Array(ADDRESS_BYTES);
      address[0] = AF_NETLINK;
      bind(this.fd, address, address.length);
      setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, Int32Array.of(RECEIVE_BYTES), 4);
      setsockopt(this.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, Int32Array.of(1), 4);
      this.#ask(bindMessage(port.queue));
      this.#ask(configMessage(port.queue, COPY_BYTES, MAX_WAITING));
    } catch (error) {
      close(this.fd);
      // EPERM for want of rights, too: but without them dp would not be where the queue is.
      if (isKernelError(error, 'EBUSY') || isKernelError(error, 'EPERM'))
        throw new KernelError(`another process reads queue ${port.queue} there: nfnetlink_queue`, -EBUSY);
      throw error;
    }
  }

  /** Whether packets that find the queue full pass. */
  setFailOpen(isOpen: boolean): void {
    this.#ask(failOpenMessage(this.#port.queue, isOpen));
  }

  /** The kernel answers within the send. Packets that come before the answer are kept. */
  #ask(message: Buffer): void {
    this.#send(message);
    for (;;) {
      const received = this.#receive();
      if (received === undefined) throw new KernelError('nfnetlink_queue: no answer', -71);
      if (received.kind === 'packet')
        this.#early.push({ ...received.packet, payload: Buffer.from(received.packet.payload) });
      if (received.kind !== 'answer') continue;
      if (received.result < 0) throw new KernelError('nfnetlink_queue', received.result);
      return;
    }
  }

  #send(message: Buffer): void {
    sendto(this.fd, message, message.length, MSG_DONTWAIT, null, 0);
  }

  #receive(): ReturnType<typeof readMessage> | undefined {
    const datagram = receiveNow(this.fd, this.#buffer, this.#address);
    return datagram && readMessage(this.#buffer.subarray(0, Math.min(datagram.bytes, this.#buffer.length)));
  }

  /** The next packet that waits, if there is one. Its payload is valid until the next call. */
  next(): QueuedPacket | undefined {
    const early = this.#early.shift();
    if (early) return early;
    for (;;) {
      const received = this.#receive();
      if (received === undefined) return undefined;
      if (received.kind === 'packet') return received.packet;
    }
  }

  decide(id: number, passes: boolean): void {
    this.#send(verdictMessage(this.#port.queue, id, passes));
  }

  /** How many packets wait, and how many were dropped since there was no room for them. */
  status(): QueueStatus {
    const text = inNamespace(this.#port.netns, () => readFileSync(STATUS, 'utf8'));
    const line = text.split('\n').map((one) => one.trim().split(/\s+/).map(Number));
    const [, , waiting = 0, , , inQueue = 0, inSocket = 0] = line.find(([queue]) => queue === this.#port.queue) ?? [];
    return { waiting, dropped: inQueue + inSocket };
  }

  /** The kernel drops what waits, and the queue is free: at once, also while another thread waits for the socket. */
  [Symbol.dispose](): void {
    this.#send(unbindMessage(this.#port.queue));
    close(this.fd);
  }
}
