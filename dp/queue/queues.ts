// The ports with a netfilter queue: opens each, reads what comes in on all of them, and answers with verdicts.
import { closeSync, readSync, writeSync } from 'node:fs';
import { direction as DIRECTION } from '../kernel/abi.gen.ts';
import { KernelError } from '../kernel/libbpf.ts';
import { eventFd, waitAnyReadable } from '../kernel/libc.ts';
import { NamespaceError } from '../kernel/namespace.ts';
import type { Workload } from '../policy/workload.ts';
import type { Port, PortKind } from '../ports/ports.ts';
import { installChain, removeChain } from './chain.ts';
import { HOOK, type QueuedPacket } from './messages.ts';
import type { Queued } from './policing.ts';
import { QueueSocket, type QueueStatus } from './queue-socket.ts';

/** Read in a row of one queue before others get their turn. */
const BURST = 64;
const WAIT_MS = 1000;
const ONE = new Uint8Array(BigUint64Array.of(1n).buffer);

/** Whether a packet of a port passes. */
export type Decide = (queued: Queued, port: Port) => boolean;

type Open = { readonly port: Port; readonly socket: QueueSocket; isOpen: boolean; dropped: number };

export class Queues implements PortKind, Disposable {
  readonly #decide: Decide;
  readonly #open = new Map<number, Open>();
  /** Whether packets pass where nobody decides on them; by port. */
  readonly #isFailOpen = new Map<number, boolean>();
  #wake: number | undefined;
  #isWoken = false;

  constructor(decide: Decide) {
    this.#decide = decide;
  }

  /** Fails closed from now on where a policy is enforced, and open where nothing would be dropped. */
  changed(port: Port, { policy, tap }: Workload['state']): void {
    const isOpen = policy === 0 || tap !== 0;
    this.#isFailOpen.set(port.id, isOpen);
    const queue = this.#open.get(port.id);
    if (!queue || queue.isOpen === isOpen) return;
    this.#setFailOpen(queue, isOpen);
  }

  #setFailOpen(queue: Open, isOpen: boolean): void {
    installChain(queue.port, isOpen);
    queue.socket.setFailOpen(isOpen);
    queue.isOpen = isOpen;
  }

  /** Reads the queue first, and then has packets sent to it. Throws NamespaceError, ChainError and KernelError. */
  attach(port: Port): void {
    const known = this.#open.get(port.id);
    const isOpen = this.#isFailOpen.get(port.id) ?? false;
    const queue = known ?? { port, socket: new QueueSocket(port), isOpen, dropped: 0 };
    this.#open.set(port.id, queue);
    this.#setFailOpen(queue, isOpen);
    if (this.#wake === undefined) void this.#run();
    this.#wakeUp();
  }

  /** Nothing where it is not there, or the namespace is gone. */
  detach(port: Port): void {
    try {
      removeChain(port);
    } catch (error) {
      if (!(error instanceof NamespaceError)) throw error;
    }
    this.#open.get(port.id)?.socket[Symbol.dispose]();
    this.#open.delete(port.id);
    this.#isFailOpen.delete(port.id);
    this.#wakeUp();
  }

  isThere(): undefined {
    return undefined;
  }

  /** Of an open port. Throws NamespaceError. */
  status(port: Port): QueueStatus | undefined {
    return this.#open.get(port.id)?.socket.status();
  }

  /** Packets that were dropped as a queue was full, since the last call, by port. */
  takeDropped(): (Port & { readonly dropped: number })[] {
    return [...this.#open.values()].flatMap((queue) => {
      const before = queue.dropped;
      queue.dropped = statusOf(queue)?.dropped ?? before;
      return queue.dropped > before ? [{ ...queue.port, dropped: queue.dropped - before }] : [];
    });
  }

  /** Has the waiting begin anew, with the queues that there are now. */
  #wakeUp(): void {
    if (this.#wake === undefined || this.#isWoken) return;
    this.#isWoken = true;
    writeSync(this.#wake, ONE);
  }

  async #run(): Promise<void> {
    const wake = eventFd();
    this.#wake = wake;
    try {
      while (this.#open.size > 0) {
        await waitAnyReadable([wake, ...[...this.#open.values()].map(({ socket }) => socket.fd)], WAIT_MS);
        if (this.#isWoken) readSync(wake, new Uint8Array(ONE.length));
        this.#isWoken = false;
        for (const queue of [...this.#open.values()]) this.#answer(queue);
      }
    } finally {
      this.#wake = undefined;
      this.#isWoken = false;
      closeSync(wake);
    }
  }

  #answer({ port, socket }: Open): void {
    for (let i = 0; i < BURST && this.#open.has(port.id); i++) {
      const packet = socket.next();
      if (!packet) return;
      socket.decide(packet.id, this.#decide(queuedOf(packet), port));
    }
  }

  /** Lets go of the queues; their chains stay, and with them whether packets pass. */
  [Symbol.dispose](): void {
    for (const { socket } of this.#open.values()) socket[Symbol.dispose]();
    this.#open.clear();
    this.#wakeUp();
  }
}

const queuedOf = ({ payload, bytes, hook }: QueuedPacket): Queued => ({
  bytes: payload,
  length: bytes,
  direction: hook === HOOK.postrouting ? DIRECTION.egress : DIRECTION.ingress,
});

/** Undefined where the namespace can't be entered: the port is about to be forgotten. */
function statusOf({ socket }: Open): QueueStatus | undefined {
  try {
    return socket.status();
  } catch (error) {
    if (error instanceof NamespaceError || error instanceof KernelError) return undefined;
    throw error;
  }
}
