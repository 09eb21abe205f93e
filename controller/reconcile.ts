// Brings etcd and status to what is declared, whenever a manifest, a report or etcd itself changes.
import { keys, type PublishedResource } from './api/keyspace.ts';
import { describe, type Pod, type ResourceId } from './api/resources.ts';
import { readGroupMember, readPublishedResource } from './api/stored.ts';
import { type Compiled, compile } from './compile/compile.ts';
import { countGenerations, type Generation } from './compile/generations.ts';
import { takeInventory } from './compile/inventory.ts';
import type { Mirror } from './etcd/mirror.ts';
import type { Logger } from './log.ts';
import type { Picture } from './metrics.ts';
import { Publisher } from './publish/publisher.ts';
import { type News, ReportBook } from './reports/report-book.ts';
import type { Declared } from './sources/declared.ts';
import { StatusBoard, type Turn } from './status/status-board.ts';
import type { StatusSink } from './status/status-sink.ts';

/** Changes that come together are worked off together. */
const GATHER_MS = 3;

export class Reconciler implements AsyncDisposable {
  readonly #mirror: Mirror;
  readonly #log: Logger;
  readonly #publisher: Publisher;
  readonly #board: StatusBoard;
  readonly #reports = new ReportBook();
  #generations: ReadonlyMap<string, Generation> = new Map();
  #declared: Declared | undefined;
  #compiled: Compiled | undefined;
  #changedKeys = new Set<string>();
  #hasListed = false;
  #mustCompile = true;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  #isClosed = false;
  #isActing = true;

  /** `announce` is called with what people may want to be told of. */
  constructor(mirror: Mirror, status: StatusSink, log: Logger, announce: (turn: Turn) => void = () => undefined) {
    this.#mirror = mirror;
    this.#log = log;
    this.#publisher = new Publisher(mirror, log, () => this.#wake());
    this.#board = new StatusBoard(status, log, announce);
  }

  /** All that is declared from now on. */
  declare(declared: Declared): void {
    this.#declared = declared;
    this.#mustCompile = true;
    this.#wake();
  }

  /** While another controller leads, all is followed and nothing is written. */
  set isActing(isActing: boolean) {
    this.#isActing = isActing;
    this.#mustCompile = true;
    this.#wake();
  }

  /** For metrics. */
  get picture(): Picture {
    return {
      declared: this.#declared,
      isActing: this.#isActing,
      compiled: this.#compiled,
      generations: this.#generations,
      reports: this.#reports,
      statuses: this.#board.statuses,
    };
  }

  /** For the mirror: what changed in etcd, or that it was listed anew. */
  etcdChanged(changed: readonly string[]): void {
    for (const key of changed) this.#changedKeys.add(key);
    this.#hasListed = true;
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#publisher[Symbol.dispose]();
    await this.#working;
  }

  #wake(): void {
    if (this.#isClosed || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#working = this.#working.then(() => {
        this.#timer = undefined;
        return this.#work();
      });
    }, GATHER_MS);
  }

  /** Before etcd was listed once nothing is decided: which generations are next is known only from there. */
  async #work(): Promise<void> {
    const declared = this.#declared;
    if (!declared || !this.#hasListed || this.#isClosed || !this.#isActing) return;
    const changed = [...this.#changedKeys];
    this.#changedKeys.clear();
    const isFirst = this.#compiled === undefined;
    if (isFirst) this.#recall(declared.pods);
    const news = this.#reports.apply(changed, this.#mirror.entries);
    this.#tell(news, declared, isFirst);
    if (this.#mustCompile || news.areAddressesNew) this.#compile(declared);
    if (!this.#compiled) return;
    await this.#publisher.publish(this.#compiled.entries, declared.unread);
    this.#board.show({
      declared,
      compiled: this.#compiled,
      generations: this.#generations,
      flaws: this.#compiled.flaws,
      reports: this.#reports,
      published: (id) => this.#published(id),
      now: new Date().toISOString(),
    });
  }

  #published(id: ResourceId): PublishedResource | undefined {
    for (const [key, { value }] of this.#mirror.entries) {
      const resource = key.startsWith(keys.rulesPrefix) ? readPublishedResource(value) : undefined;
      if (resource && describe(resource) === describe(id)) return resource;
    }
    return undefined;
  }

  /** What an earlier run published says which generations and addresses were last known. */
  #recall(pods: readonly Pod[]): void {
    const nodes = new Map(pods.map(({ uid, node }) => [uid, node]));
    const generations = new Map<string, Generation>();
    for (const [key, { value }] of this.#mirror.entries) {
      if (key.startsWith(keys.rulesPrefix)) {
        const resource = readPublishedResource(value);
        if (resource) generations.set(resource.uid, resource);
      } else if (key.startsWith(keys.groupsPrefix)) {
        const uid = key.slice(key.lastIndexOf('/') + 1);
        const node = nodes.get(uid);
        const member = readGroupMember(value);
        if (node !== undefined && member) this.#reports.remember(uid, node, member.ips);
      }
    }
    this.#generations = generations;
  }

  #compile({ rules, pods, namespaces, nodes }: Declared): void {
    this.#generations = new Map([...this.#generations, ...countGenerations(rules, this.#generations)]);
    const podUids = new Set(pods.map(({ uid }) => uid));
    this.#reports.retain(new Set(rules.map(({ uid }) => uid)), podUids);
    const reportedIps = new Map(
      pods.flatMap(({ uid, node }) => {
        const seen = this.#reports.addresses.get(uid);
        return seen?.node === node ? [[uid, seen.ips] as const] : []; // an agent speaks for its own node only
      }),
    );
    this.#compiled = compile(rules, this.#generations, takeInventory(pods, namespaces, nodes, reportedIps));
    this.#mustCompile = false;
  }

  /** At the first look, threats are of the time before this run and were told of then. */
  #tell(news: News, { rules }: Declared, isFirst: boolean): void {
    for (const node of news.agentsFound) this.#log.info({ node }, 'agent found');
    for (const node of news.agentsLost) this.#log.warn({ node }, 'agent lost, what it enforced stays in force');
    for (const key of news.unreadable) this.#log.warn({ key }, 'report unreadable, ignored');
    if (isFirst) return;
    const resources = new Map<string, ResourceId>(rules.map((rule) => [rule.uid, rule]));
    for (const { resourceUid, threat } of news.threats) {
      const resource = resources.get(resourceUid);
      const { time: at, ...fields } = threat;
      this.#log.warn({ at, ...(resource ? { resource: describe(resource) } : { resourceUid }), ...fields }, 'threat');
    }
  }
}
