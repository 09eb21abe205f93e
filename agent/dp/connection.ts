// The connection to dp: commands in order, keep-alives, and finding dp again after it was gone.
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeReport, type Received, type Report } from '@podwall/dp/protocol/reports.ts';
import type { Logger } from 'pino';
import { command } from './batches.ts';
import { DatagramError, DatagramReceiver, DatagramSender } from './datagram.ts';
import { ReportSequence } from './sequence.ts';

/** In ms: the reference's §8.1 and §8.2. */
export type Timing = { readonly keepAlive: number; readonly deadAfter: number; readonly retry: number };
export const TIMING: Timing = { keepAlive: 2000, deadAfter: 10_000, retry: 2000 };
const FIRST_TRIES = 5;
const TRIES_PER_REMINDER = 10;
const MAX_U32 = 0xffffffff;

export type ConnectionOptions = {
  /** Where dp takes commands. */
  readonly dpPath: string;
  /** Where dp sends its reports. */
  readonly notifyPath: string;
  readonly log: Logger;
  readonly timing?: Timing;
  /** dp answered: nothing of what it was told before may be relied on. */
  readonly onConnected: () => void;
  readonly onLost: () => void;
  readonly onReport: (report: Report) => void;
};

/** One sender, for as long as dp reads what it sends. */
class Link {
  readonly sender: DatagramSender;
  readonly ended = Promise.withResolvers<string>();
  /** What is sent next waits for this. */
  tail: Promise<void> = Promise.resolve();
  isAnswered = Promise.withResolvers<void>();
  isKeepAliveWaiting = false;
  heardAt = Date.now();

  constructor(path: string) {
    this.sender = new DatagramSender(path);
  }
}

export class DpConnection implements AsyncDisposable {
  readonly #options: ConnectionOptions;
  readonly #timing: Timing;
  readonly #receiver: DatagramReceiver;
  readonly #sequence = new ReportSequence();
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #link: Link | undefined;
  #isConnected = false;
  #connections = 0;
  #keepAlives = 0;

  /** Throws DatagramError where the notify path can't be taken. */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#timing = options.timing ?? TIMING;
    this.#receiver = new DatagramReceiver(options.notifyPath, (datagram) => this.#receive(datagram));
    this.#done = this.#run();
  }

  /** dp has answered since the connection was made. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** How often dp was found again. */
  get reconnects(): number {
    return Math.max(0, this.#connections - 1);
  }

  get reportsLost(): number {
    return this.#sequence.lost;
  }

  /** Sends these datagrams with no other between them. Throws DatagramError where dp is not, or no longer, there. */
  send(datagrams: readonly Buffer[]): Promise<void> {
    const link = this.#link;
    if (!link) return Promise.reject(new DatagramError('CLOSED', `no connection to ${this.#options.dpPath}`));
    const sending = link.tail.then(async () => {
      for (const datagram of datagrams) await link.sender.send(datagram);
    });
    link.tail = sending.catch((error: unknown) => link.ended.resolve(messageOf(error)));
    return sending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#link?.ended.resolve('the agent ends');
    await this.#done;
    if (this.#link) this.#close(this.#link);
    this.#receiver[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const { log, onConnected, onLost, dpPath } = this.#options;
    while (!this.#stop.signal.aborted) {
      const link = await this.#connect();
      if (!link) return;
      this.#isConnected = true;
      this.#connections += 1;
      log.info({ path: dpPath }, 'dp found');
      onConnected();
      const reason = await this.#untilEnded(link);
      this.#isConnected = false;
      this.#close(link);
      if (this.#stop.signal.aborted) return;
      log.warn({ path: dpPath, reason }, 'dp lost');
      onLost();
    }
  }

  /** Tries until dp answers; undefined once the agent ends. */
  async #connect(): Promise<Link | undefined> {
    const { log, dpPath } = this.#options;
    for (let tries = 1; !this.#stop.signal.aborted; tries += 1) {
      const nextTry = sleep(this.#timing.retry, undefined, { signal: this.#stop.signal }).catch(() => undefined); // the agent ends
      const link = await this.#try(nextTry);
      if (this.#stop.signal.aborted) break;
      if (typeof link !== 'string') return link;
      if (tries < FIRST_TRIES) log.warn({ path: dpPath, reason: link, tries }, 'dp does not answer, trying again');
      else if (tries === FIRST_TRIES || tries % TRIES_PER_REMINDER === 0)
        log.error({ path: dpPath, reason: link, tries }, 'dp still does not answer, going on trying');
      await nextTry;
    }
    return undefined;
  }

  /** A link that dp has answered on, or why there is none. */
  async #try(timeout: Promise<unknown>): Promise<Link | string> {
    let link: Link;
    try {
      link = new Link(this.#options.dpPath);
    } catch (error) {
      if (error instanceof DatagramError) return error.message;
      throw error;
    }
    this.#link = link;
    this.#sequence.reconnected();
    this.#sendKeepAlive(link);
    const answer = await Promise.race([
      link.isAnswered.promise.then(() => link),
      link.ended.promise,
      timeout.then(() => `no answer to a keep-alive within ${this.#timing.retry} ms`),
    ]);
    if (typeof answer === 'string') this.#close(link);
    return answer;
  }

  #close(link: Link): void {
    this.#link = undefined;
    link.sender[Symbol.dispose]();
  }

  async #untilEnded(link: Link): Promise<string> {
    const { keepAlive, deadAfter } = this.#timing;
    const timer = setInterval(() => {
      if (Date.now() - link.heardAt > deadAfter)
        link.ended.resolve(`dp connection seems dead: nothing came for ${deadAfter} ms`);
      else this.#sendKeepAlive(link);
    }, keepAlive);
    try {
      return await link.ended.promise;
    } finally {
      clearInterval(timer);
    }
  }

  #sendKeepAlive(link: Link): void {
    if (link.isKeepAliveWaiting) return; // dp is slow to read: one is enough
    link.isKeepAliveWaiting = true;
    this.#keepAlives = (this.#keepAlives % MAX_U32) + 1;
    this.send([command('ctrl_keep_alive', { seq_num: this.#keepAlives })])
      .finally(() => {
        link.isKeepAliveWaiting = false;
      })
      .catch(() => undefined); // send() has ended the link, with the reason
  }

  #receive(datagram: Buffer): void {
    const link = this.#link;
    if (link) link.heardAt = Date.now();
    let received: Received;
    try {
      received = decodeReport(datagram);
    } catch (error) {
      this.#options.log.error({ bytes: datagram.length, error: messageOf(error) }, 'report from dp is not readable');
      return;
    }
    const { sequence, report } = received;
    const isKeepAlive = report.kind === 'keepAlive';
    if (!isKeepAlive && !this.#sequence.follows(sequence)) link?.ended.resolve('dp was started anew');
    link?.isAnswered.resolve();
    if (!isKeepAlive) this.#options.onReport(report);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
