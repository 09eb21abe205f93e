// Tells of all objects of one kind and of every change, listed once and watched from there, for as long as the process runs.
import type { Logger } from '../log.ts';
import { ApiError, type ApiServer } from './api-server.ts';
import { Backoff } from './backoff.ts';
import { type Kind, listObjects } from './listing.ts';
import { type ApiObject, readWatchEvent } from './watch-events.ts';

/** The server ends a watch after this time, by chance up to twice as long: not all of them at once. */
const WATCH_SECONDS = 240;
/** A server sends a bookmark every minute: without a line for so long, the connection is dead. */
const SILENT_MS = 90_000;
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 15_000;
const REMINDER_MS = 30_000;

/** Called with the objects that changed; an object that is gone comes as undefined. After a list, with all differences. */
export type Changed = (changes: ReadonlyMap<string, ApiObject | undefined>) => void;

export class Reflector implements AsyncDisposable {
  readonly #api: ApiServer;
  readonly #kind: Kind;
  readonly #log: Logger;
  readonly #changed: Changed;
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
  readonly #done: Promise<void>;
  /** uid → resourceVersion: the objects themselves are the receiver's. */
  #versions = new Map<string, string>();
  /** Where to watch on from; empty before a list. */
  #resourceVersion = '';
  #hasListed = false;
  #nextWordAt = 0;

  constructor(api: ApiServer, kind: Kind, log: Logger, changed: Changed) {
    this.#api = api;
    this.#kind = kind;
    this.#log = log;
    this.#changed = changed;
    this.#done = this.#run();
  }

  /** Whether everything was seen once. */
  get hasListed(): boolean {
    return this.#hasListed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        if (this.#resourceVersion === '') await this.#list();
        await this.#watch();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (error instanceof ApiError && error.code === 410) this.#resourceVersion = '';
        this.#tell(error);
        await this.#backoff.wait(this.#stop.signal, error instanceof ApiError ? error.retryAfterMs : 0);
      }
    }
  }

  /** The newest state that the server can tell of, in pages of one moment. */
  async #list(): Promise<void> {
    const { objects, resourceVersion } = await listObjects(this.#api, this.#kind, this.#stop.signal);
    const found = new Map(objects.map((object) => [object.metadata.uid, object]));
    const before = this.#versions;
    this.#versions = new Map([...found].map(([uid, { metadata }]) => [uid, metadata.resourceVersion]));
    this.#resourceVersion = resourceVersion;
    this.#hasListed = true;
    this.#log.debug({ kind: this.#kind.kind, objects: found.size }, 'listed');
    this.#changed(differing(before, found));
  }

  /** Returns where the server ends the watch, or asks for a list; throws where it breaks. */
  async #watch(): Promise<void> {
    const seconds = WATCH_SECONDS + Math.floor(Math.random() * WATCH_SECONDS);
    const query = new URLSearchParams({
      ...{ watch: '1', allowWatchBookmarks: 'true' },
      ...{ resourceVersion: this.#resourceVersion, timeoutSeconds: String(seconds) },
    });
    const silent = new AbortController();
    const alarm = setTimeout(
      () => silent.abort(new Error(`the watch was silent for ${SILENT_MS / 1000} s`)),
      SILENT_MS,
    );
    try {
      const signal = AbortSignal.any([this.#stop.signal, silent.signal]);
      for await (const line of this.#api.lines(`${this.#kind.path}?${query}`, signal)) {
        alarm.refresh();
        if (!this.#take(line)) return;
      }
    } finally {
      clearTimeout(alarm);
    }
  }

  /** Whether the watch goes on. */
  #take(line: unknown): boolean {
    const event = readWatchEvent(line);
    if (event.kind === 'expired') {
      this.#resourceVersion = '';
      this.#log.info({ kind: this.#kind.kind }, 'watch expired, listing anew');
      return false;
    }
    if (event.kind === 'failed') throw new Error(event.message);
    this.#backoff.reset();
    this.#nextWordAt = 0;
    if (event.kind === 'bookmark') {
      this.#resourceVersion = event.resourceVersion;
      return true;
    }
    const { uid, resourceVersion } = event.object.metadata;
    this.#resourceVersion = resourceVersion;
    const object = event.kind === 'put' ? event.object : undefined;
    if (object) this.#versions.set(uid, resourceVersion);
    else this.#versions.delete(uid);
    this.#changed(new Map([[uid, object]]));
    return true;
  }

  /** Once, and from time to time while it lasts. */
  #tell(error: unknown): void {
    if (Date.now() < this.#nextWordAt) return;
    this.#nextWordAt = Date.now() + REMINDER_MS;
    const message = error instanceof Error ? error.message : String(error);
    this.#log.warn(
      { kind: this.#kind.kind, server: this.#api.url, error: message },
      'API server unavailable, trying on',
    );
  }
}

function differing(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, ApiObject>,
): Map<string, ApiObject | undefined> {
  const changed = new Map<string, ApiObject | undefined>();
  for (const uid of before.keys()) if (!after.has(uid)) changed.set(uid, undefined);
  for (const [uid, object] of after) {
    if (before.get(uid) !== object.metadata.resourceVersion) changed.set(uid, object);
  }
  return changed;
}
