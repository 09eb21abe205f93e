// The part of etcd that this node needs, kept up for as long as the agent runs, whatever happens to etcd.
import {
  type GroupMember,
  keys,
  type PublishedResource,
  type PublishedWorkload,
} from '@podwall/controller/api/keyspace.ts';
import type { Logger } from 'pino';
import { isAnotherHistory } from './history.ts';
import { namedGroups, namedResources } from './references.ts';
import { Replica } from './replica.ts';
import type { EtcdSession, History, Listing } from './session.ts';
import { parseMember, parseResource, parseWorkload } from './values.ts';

/**
 * When etcd comes back as another store (wiped, restored from a backup), the controller is filling it again, and what
 * is not there yet is not gone. Nothing of it is passed on until this node has workloads in it again and nothing
 * has changed for so long; at the latest after MAX_REFILL_MS of changes.
 */
const REFILL_QUIET_MS = 3000;
const MAX_REFILL_MS = 60_000;

export type Snapshot = {
  readonly workloads: readonly PublishedWorkload[];
  /** By uid; lacks those that a workload names but etcd has not. */
  readonly resources: ReadonlyMap<string, PublishedResource>;
  /** Those that the resources name, by hash. Arrays are the same objects while they do not change. */
  readonly groups: ReadonlyMap<string, readonly GroupMember[]>;
};

/** `since`: when the first workload of this node came back. */
type Refill = { since?: number; timer?: NodeJS.Timeout };

export class Mirror {
  readonly #log: Logger;
  readonly #onChange: (snapshot: Snapshot) => void;
  readonly #refillQuietMs: number;
  readonly #workloads: Replica<PublishedWorkload>;
  readonly #resources = new Map<string, Replica<PublishedResource>>();
  readonly #groups = new Map<string, Replica<GroupMember>>();
  /** Replicas that are listed and watched on this session, or about to be. */
  readonly #opened = new Set<Replica<unknown>>();
  /** Of the last session, as of its end. */
  #history: History | undefined;
  /** While etcd is filled again. */
  #refill: Refill | undefined;

  /** `onChange` is called with whole states only: all that the workloads name has been looked for. */
  constructor(
    node: string,
    log: Logger,
    onChange: (snapshot: Snapshot) => void,
    refillQuietMs: number = REFILL_QUIET_MS,
  ) {
    this.#log = log;
    this.#onChange = onChange;
    this.#refillQuietMs = refillQuietMs;
    this.#workloads = new Replica({ key: keys.workloadsPrefix(node), isPrefix: true }, parseWorkload, log);
  }

  /** Follows etcd until the session ends; what was known then stays known. */
  async follow(session: EtcdSession): Promise<void> {
    try {
      await this.#open(session, this.#workloads, (listing) => this.#compare(listing));
      this.#log.info({ revision: session.history?.revision.toString() }, 'etcd connected');
      await session.ended;
      this.#history = session.history;
    } finally {
      this.#opened.clear();
      for (const replica of this.#all()) replica.isFresh = false;
      clearTimeout(this.#refill?.timer);
    }
  }

  #all(): Replica<unknown>[] {
    return [this.#workloads, ...this.#resources.values(), ...this.#groups.values()];
  }

  async #open<T>(session: EtcdSession, replica: Replica<T>, check?: (listing: Listing) => void): Promise<void> {
    const listing = await session.list(replica.range);
    check?.(listing);
    replica.replace(listing.entries);
    replica.isFresh = true;
    const unwatch = await session.watch(replica.range, listing.history.revision, (changes) => {
      replica.apply(changes);
      this.#changed(session);
    });
    replica.watched(unwatch);
    this.#changed(session);
  }

  #compare({ entries, history }: Listing): void {
    const before = this.#history;
    if (!before || !(isAnotherHistory(before, history) || this.#workloads.isRewritten(entries))) return;
    this.#refill = {};
    const revisions = { revisionBefore: before.revision.toString(), revision: history.revision.toString() };
    this.#log.warn(revisions, 'etcd is another store than before: what is in force stays until it is filled again');
  }

  #changed(session: EtcdSession): void {
    const named = namedResources(this.#workloads.values);
    this.#follow(session, this.#resources, named, (uid) => {
      return new Replica({ key: keys.rules(uid), isPrefix: false }, parseResource, this.#log);
    });
    const groups = namedGroups([...this.#resources.values()].flatMap(({ values }) => values));
    this.#follow(session, this.#groups, groups, (hash) => {
      return new Replica({ key: keys.groupPrefix(hash), isPrefix: true }, parseMember, this.#log);
    });
    if (this.#refill) this.#awaitRefill(this.#refill);
    else this.#emit();
  }

  /** Opens the replicas that are named, and drops those that no longer are. */
  #follow<T>(
    session: EtcdSession,
    replicas: Map<string, Replica<T>>,
    named: ReadonlySet<string>,
    make: (name: string) => Replica<T>,
  ): void {
    for (const [name, replica] of replicas) {
      if (named.has(name)) continue;
      replica.drop();
      this.#opened.delete(replica);
      replicas.delete(name);
    }
    for (const name of named) {
      const replica = replicas.get(name) ?? make(name);
      replicas.set(name, replica);
      if (this.#opened.has(replica)) continue;
      this.#opened.add(replica);
      this.#open(session, replica).catch((error: unknown) => session.end(String(error)));
    }
  }

  #awaitRefill(refill: Refill): void {
    clearTimeout(refill.timer);
    if (this.#workloads.values.length === 0) return;
    refill.since ??= Date.now();
    const waitMs = Math.min(this.#refillQuietMs, Math.max(0, refill.since + MAX_REFILL_MS - Date.now()));
    refill.timer = setTimeout(() => {
      this.#refill = undefined;
      this.#log.info({ workloads: this.#workloads.values.length }, 'etcd is filled again');
      this.#emit();
    }, waitMs);
  }

  #emit(): void {
    if (!this.#all().every(({ isFresh }) => isFresh)) return;
    this.#onChange({
      workloads: this.#workloads.values,
      resources: new Map(
        [...this.#resources].flatMap(([uid, { values }]) => values.map((value) => [uid, value] as const)),
      ),
      groups: new Map([...this.#groups].map(([hash, { values }]) => [hash, values])),
    });
  }
}
