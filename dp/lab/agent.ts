// For tests: a client of dp with a socket of its own, as the agent is one.
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandSocket } from '../kernel/command-socket.ts';
import { isKernelError } from '../kernel/libbpf.ts';
import { decodeReport, MAX_REPORT_BYTES, type Received, type Report } from '../protocol/reports.ts';
import { Changes } from './waiting.ts';

const AF_UNIX = 1;
const FULL_MS = 1;
const AGAIN_MS = 5;

type OfKind<Kind extends Report['kind']> = Report & { readonly kind: Kind };

export class Agent implements AsyncDisposable {
  readonly #socket: CommandSocket;
  readonly #dp: Uint8Array;
  readonly #changes = new Changes();
  readonly #reading: Promise<void>;
  /** All that came, in order. */
  readonly received: Received[] = [];
  #taken = 0;

  constructor(path: string, dpPath: string) {
    this.#socket = CommandSocket.bind(path, MAX_REPORT_BYTES);
    this.#dp = Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(`${dpPath}\0`)]);
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const { data } of this.#socket.datagrams()) {
      this.received.push(decodeReport(data.slice()));
      this.#changes.happened();
    }
  }

  /** Sends commands, or any bytes; waits while dp’s queue is full. */
  async send(message: object | string | Uint8Array): Promise<void> {
    const bytes = typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message);
    for (;;)
      try {
        this.#socket.answer(this.#dp, Buffer.from(bytes));
        return;
      } catch (error) {
        if (!isKernelError(error, 'EAGAIN')) throw error;
        await sleep(FULL_MS);
      }
  }

  /** The next report of a kind; those before it count as seen. */
  async next<Kind extends Report['kind']>(
    kind: Kind,
    isWanted: (report: OfKind<Kind>) => boolean = () => true,
  ): Promise<OfKind<Kind>> {
    const what = () => `a report of kind ${kind}; there came: ${this.received.map(({ report }) => report.kind)}`;
    return this.#changes.until(what, () => {
      const at = this.received.findIndex(
        ({ report }, i) => i >= this.#taken && report.kind === kind && isWanted(report as OfKind<Kind>),
      );
      if (at < 0) return undefined;
      this.#taken = at + 1;
      return this.received[at]?.report as OfKind<Kind>; // found by its kind
    });
  }

  /** Sends, and waits for the answer of a kind. */
  async ask<Kind extends Report['kind']>(message: object | string | Uint8Array, kind: Kind): Promise<OfKind<Kind>> {
    await this.send(message);
    return this.next(kind);
  }

  /** Waits until dp has carried out all that was sent before. */
  async settled(): Promise<void> {
    const sequence = Math.floor(Math.random() * 2 ** 32);
    let isSettled = false;
    const answered = this.next('keepAlive', (report) => report.sequence === sequence).finally(() => {
      isSettled = true;
    });
    // Again, since dp does not wait for a client that reads too slowly: the answer may be lost.
    while (!isSettled) {
      await this.send({ ctrl_keep_alive: { seq_num: sequence } });
      await Promise.race([answered, sleep(AGAIN_MS)]);
    }
    await answered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket[Symbol.dispose]();
    await this.#reading;
  }
}
