// A copy in memory of everything under a prefix of etcd, kept up for as long as the process runs, and the way to write.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import {
  type Change,
  type Claim,
  type Entry,
  type EtcdOptions,
  EtcdSession,
  EtcdUnavailableError,
  FencedError,
  type Operation,
} from './session.ts';

const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 2000;
const REMINDER_MS = 30_000;

export class Mirror implements AsyncDisposable {
  readonly #etcd: EtcdOptions;
  readonly #prefix: string;
  readonly #log: Logger;
  readonly #changed: (keys: readonly string[]) => void;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #entries = new Map<string, Entry>();
  /** Keys deleted by us whose deletion the watch has not told of yet, so that older news does not bring them back. */
  readonly #deleted = new Map<string, bigint>();
  #session: EtcdSession | undefined;
  #claim: Claim | undefined;
  #claimedIn: EtcdSession | undefined;
  #connections = 0;
  #puts = 0;
  #deletions = 0;

  /** `changed` is called with the keys whose values are other than before, once at each (re)connection also with none. */
  constructor(etcd: EtcdOptions, prefix: string, log: Logger, changed: (keys: readonly string[]) => void) {
    this.#etcd = etcd;
    this.#prefix = prefix;
    this.#log = log;
    this.#changed = changed;
    this.#done = this.#run();
  }

  /** What etcd held when last seen: while it is away, as it was before. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  get isConnected(): boolean {
    return this.#session !== undefined;
  }

  /** For metrics: how often etcd was found again, the keys that it holds, and those that were written, one a key. */
  get counts() {
    const reconnects = Math.max(0, this.#connections - 1);
    return { reconnects, keys: this.#entries.size, puts: this.#puts, deletions: this.#deletions };
  }

  /** From now on all writes are made under this claim, or, without one, whoever else writes. */
  set claim(claim: Claim | undefined) {
    this.#claim = claim;
    this.#claimedIn = undefined;
  }

  /**
   * All or none; `changed` is not called for it. Throws EtcdUnavailableError, and then it may have been written or not;
   * throws FencedError where the claim is not this process's any more, and then nothing was.
   */
  async write(operations: readonly Operation[]): Promise<void> {
    const session = this.#session;
    if (!session) throw new EtcdUnavailableError(this.#etcd.url, 'not connected');
    const claim = this.#claim;
    if (claim && this.#claimedIn !== session) {
      await session.claim(claim);
      this.#claimedIn = session;
    }
    const revision = await session.write(operations, claim?.guard).catch((error) => {
      if (error instanceof FencedError) this.#claimedIn = undefined; // its lease may merely have ended
      throw error;
    });
    if (session !== this.#session) throw new EtcdUnavailableError(this.#etcd.url, 'the connection was lost meanwhile');
    for (const operation of operations) {
      this.#apply({ key: operation.key, value: operation.kind === 'put' ? operation.value : undefined, revision });
      if (operation.kind === 'delete') this.#deleted.set(operation.key, revision);
      if (operation.kind === 'delete') this.#deletions += 1;
      else this.#puts += 1;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#session?.break();
    await this.#done;
  }

  async #run(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    let nextWordAt = 0;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#follow(() => {
          this.#log.info({ etcd: this.#etcd.url }, 'etcd connected');
          retryMs = FIRST_RETRY_MS;
          nextWordAt = 0;
        });
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (Date.now() >= nextWordAt) {
          this.#log.warn({ etcd: this.#etcd.url, error: messageOf(error) }, 'etcd unavailable, trying on');
          nextWordAt = Date.now() + REMINDER_MS;
        }
      }
      await sleep(retryMs, undefined, { signal: this.#stop.signal }).catch(() => undefined); // aborted: the loop ends
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }

  async #follow(connected: () => void): Promise<never> {
    using session = new EtcdSession(this.#etcd);
    if (this.#etcd.grantsAccess) await session.grantAccess();
    const { entries, revision } = await session.list(this.#prefix);
    const before = this.#entries;
    this.#entries = entries;
    this.#deleted.clear();
    this.#session = session;
    this.#connections += 1;
    try {
      connected();
      this.#changed(differing(before, entries));
      return await session.watch(this.#prefix, revision + 1n, (changes) => this.#receive(changes));
    } finally {
      this.#session = undefined;
    }
  }

  #receive(changes: readonly Change[]): void {
    const changed = changes.filter((change) => this.#apply(change)).map(({ key }) => key);
    const newest = changes.at(-1)?.revision ?? 0n;
    for (const [key, revision] of this.#deleted) if (revision <= newest) this.#deleted.delete(key);
    if (changed.length > 0) this.#changed(changed);
  }

  /** False for what is already known or overtaken by a later write of our own. */
  #apply({ key, value, revision }: Change): boolean {
    const known = this.#entries.get(key);
    if (revision <= (known?.revision ?? this.#deleted.get(key) ?? 0n)) return false;
    if (value === undefined) this.#entries.delete(key);
    else this.#entries.set(key, { value, revision });
    return known?.value !== value;
  }
}

function differing(before: ReadonlyMap<string, Entry>, after: ReadonlyMap<string, Entry>): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].filter((key) => before.get(key)?.value !== after.get(key)?.value);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
