// Keeps the connection to the runtime's NRI: a new one after each that ended.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { NriPlugin, type PodLifecycle } from './plugin.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5000;
const REMINDER_MS = 60_000;

export type NriConnectionOptions = {
  readonly socketPath: string;
  readonly log: Logger;
  readonly pods: PodLifecycle;
  /** The runtime asks from now on. */
  readonly onConnected: () => void;
  /** It does not (or no longer), with the reason; called for each try that fails. */
  readonly onLost: (reason: string) => void;
};

export class NriConnection implements AsyncDisposable {
  readonly #options: NriConnectionOptions;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(options: NriConnectionOptions) {
    this.#options = options;
    this.#done = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let retryMs = FIRST_RETRY_MS;
    let nextReminderAt = 0;
    while (!signal.aborted) {
      const { reason, wasConnected } = await this.#use(signal);
      if (signal.aborted) return;
      if (wasConnected) retryMs = FIRST_RETRY_MS;
      if (wasConnected || Date.now() >= nextReminderAt) {
        this.#options.log.warn({ path: this.#options.socketPath, reason }, 'runtime does not ask about new pods');
        nextReminderAt = Date.now() + REMINDER_MS;
      }
      this.#options.onLost(reason);
      await sleep(retryMs, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }

  /** One connection, from its beginning to its end. */
  async #use(signal: AbortSignal): Promise<{ readonly reason: string; readonly wasConnected: boolean }> {
    const { socketPath, pods, log, onConnected } = this.#options;
    try {
      using plugin = await NriPlugin.connect(socketPath, pods, signal);
      log.info({ path: socketPath, runtime: plugin.runtime }, 'runtime asks about new pods');
      onConnected();
      const error = await plugin.closed;
      return { reason: error?.message ?? 'the runtime closed the connection', wasConnected: true };
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error), wasConnected: false };
    }
  }
}
