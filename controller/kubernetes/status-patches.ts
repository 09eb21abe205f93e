// Writes the status of rules to the API server: only what differs, each resource once a second at most, few at a time.
import { isDeepStrictEqual } from 'node:util';
import { describe, type ResourceId } from '../api/resources.ts';
import type { Logger } from '../log.ts';
import { type ResourceStatus, readShown, type Shown, type StatusSink } from '../status/status-sink.ts';
import { ApiError, type ApiServer } from './api-server.ts';
import { Backoff } from './backoff.ts';
import { statusPath } from './kinds.ts';

const MIN_INTERVAL_MS = 1000;
const MAX_IN_FLIGHT = 8;
/** What another wrote over it is put right after this time: till then the watch may not have told of our own write. */
const BELIEVED_MS = 5000;
const MAX_RETRY_MS = 15_000;
/** Of the statuses that were still due when this process stopped or led no more. */
const CLOSE_MS = 1000;

type Written = { readonly status: unknown; readonly atMs: number };

export class StatusPatches implements StatusSink, AsyncDisposable {
  readonly #api: ApiServer;
  readonly #log: Logger;
  readonly #seen: (id: ResourceId) => unknown;
  readonly #backoff = new Backoff(MIN_INTERVAL_MS, MAX_RETRY_MS);
  readonly #written = new Map<string, Written>();
  #wanted = new Map<string, ResourceStatus>();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #isClosed = false;
  #lastError = '';
  #count = 0;

  /** `seen` answers the status that the API server had last. */
  constructor(api: ApiServer, log: Logger, seen: (id: ResourceId) => unknown) {
    this.#api = api;
    this.#log = log;
    this.#seen = seen;
  }

  /** How many were written since the start. */
  get count(): number {
    return this.#count;
  }

  shown(id: ResourceId): Shown {
    return readShown(this.#wanted.get(describe(id))?.status ?? this.#seen(id));
  }

  /** The API server takes the status of what is deleted away itself. */
  set(statuses: readonly ResourceStatus[]): void {
    const withStatus = statuses.filter(({ id }) => statusPath(id) !== undefined);
    this.#wanted = new Map(withStatus.map((status) => [describe(status.id), status]));
    for (const name of this.#written.keys()) if (!this.#wanted.has(name)) this.#written.delete(name);
    this.#flushIn(0);
  }

  /** Forgets all that was to be written: another controller does it now. */
  clear(): void {
    this.set([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#flushing;
    const due = this.#due(0).slice(0, MAX_IN_FLIGHT);
    await Promise.allSettled(due.map((status) => this.#write(status, CLOSE_MS)));
  }

  #flushIn(delayMs: number): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#flushing = this.#flushing.then(() => this.#flush());
    }, delayMs);
  }

  async #flush(): Promise<void> {
    try {
      for (let due = this.#due(MIN_INTERVAL_MS); due.length > 0 && !this.#isClosed; ) {
        await Promise.all(due.slice(0, MAX_IN_FLIGHT).map((status) => this.#write(status)));
        due = this.#due(MIN_INTERVAL_MS);
      }
      this.#backoff.reset();
      this.#lastError = '';
      if (this.#due(0).length > 0) this.#flushIn(MIN_INTERVAL_MS);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#lastError) this.#log.warn({ error: message }, 'status not written, trying on');
      this.#lastError = message;
      this.#flushIn(Math.max(this.#backoff.nextMs(), error instanceof ApiError ? error.retryAfterMs : 0));
    }
  }

  /** Those that differ from what is there, and were not written within the interval. */
  #due(minIntervalMs: number): ResourceStatus[] {
    const nowMs = performance.now();
    return [...this.#wanted.values()].filter(({ id, status }) => {
      const written = this.#written.get(describe(id));
      const ageMs = written ? nowMs - written.atMs : Number.POSITIVE_INFINITY;
      if (ageMs < minIntervalMs) return false;
      const isThere = written && ageMs < BELIEVED_MS ? written.status : this.#seen(id);
      return !isDeepStrictEqual(isThere, status);
    });
  }

  async #write({ id, status }: ResourceStatus, timeoutMs?: number): Promise<void> {
    const path = statusPath(id) ?? '';
    this.#written.set(describe(id), { status, atMs: performance.now() });
    try {
      await this.#api.call('PATCH', path, { status }, timeoutMs);
      this.#count++;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return; // deleted meanwhile: the watch will tell
      this.#written.delete(describe(id));
      throw error;
    }
  }
}
