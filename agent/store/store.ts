// Keeps a connection to etcd: a new session after each that ended, and who uses it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type EtcdOptions, EtcdSession } from './session.ts';

const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 2000;
const REMINDER_MS = 30_000;

/** Uses a session until it ends. */
export type SessionUser = (session: EtcdSession) => Promise<void>;

export class Store implements AsyncDisposable {
  readonly #options: EtcdOptions;
  readonly #log: Logger;
  readonly #users: readonly SessionUser[];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #session: EtcdSession | undefined;
  /** Sessions in which etcd answered, that have ended. */
  #ended = 0;

  constructor(options: EtcdOptions, log: Logger, users: readonly SessionUser[]) {
    this.#options = options;
    this.#log = log;
    this.#users = users;
    this.#done = this.#run();
  }

  /** It answers: what is written to it arrives here. */
  get isConnected(): boolean {
    return this.#session?.history !== undefined;
  }

  /** How often etcd was found again. */
  get reconnects(): number {
    return Math.max(0, this.#ended + Number(this.isConnected) - 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#session?.end('the agent ends');
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let retryMs = FIRST_RETRY_MS;
    let nextReminderAt = 0;
    while (!signal.aborted) {
      const reason = await this.#use();
      if (signal.aborted) return;
      if (reason.wasConnected) {
        retryMs = FIRST_RETRY_MS;
        this.#ended += 1;
      }
      if (reason.wasConnected || Date.now() >= nextReminderAt) {
        this.#log.warn({ etcd: this.#options.url, reason: reason.text }, 'etcd lost, what was known stays in force');
        nextReminderAt = Date.now() + REMINDER_MS;
      }
      await sleep(retryMs, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }

  /** One session, from its beginning to its end. */
  async #use(): Promise<{ readonly text: string; readonly wasConnected: boolean }> {
    using session = new EtcdSession(this.#options);
    this.#session = session;
    const uses = this.#users.map((use) => use(session).catch((error: unknown) => session.end(String(error))));
    await Promise.all(uses);
    const text = await session.ended;
    this.#session = undefined;
    return { text, wasConnected: session.history !== undefined };
  }
}
