// Puts the parts together: etcd and the node's workloads in, policies to dp out, and what dp reports back to etcd.
import type { Report } from '@podwall/dp/protocol/reports.ts';
import type { Logger } from 'pino';
import { DpConnection } from './dp/connection.ts';
import { Enforcement } from './dp/enforcement.ts';
import type { Resolver } from './fqdn/lookup.ts';
import { NameResolver } from './fqdn/resolver.ts';
import type { AgentState } from './metrics.ts';
import { type Surroundings, Targets, type WorkloadTarget } from './policy/targets.ts';
import { Reporter } from './reports/reporter.ts';
import { Mirror, type Snapshot } from './store/mirror.ts';
import type { EtcdOptions } from './store/session.ts';
import { Store } from './store/store.ts';
import { WorkloadLinks } from './workloads/links.ts';
import { NamespaceFile } from './workloads/netns-file.ts';
import { NodeAddresses } from './workloads/node-addresses.ts';
import { readiness } from './workloads/readiness.ts';
import { type RuntimeOptions, RuntimeWorkloads } from './workloads/runtime.ts';
import {
  type Identity,
  idOf,
  type Place,
  type Readiness,
  type SourceListener,
  type WorkloadSource,
} from './workloads/source.ts';

/** Changes that come together are computed together. */
const DEBOUNCE_MS = 3;
const CLOSE_TIMEOUT_MS = 1000;

/** Where workloads come from: a file of network namespaces, or the node's container runtime. */
export type WorkloadsFrom =
  | { readonly kind: 'netns'; readonly path: string }
  | ({ readonly kind: 'runtime' } & RuntimeOptions);

export type AgentOptions = {
  readonly node: string;
  readonly etcd: EtcdOptions;
  readonly dpPath: string;
  readonly notifyPath: string;
  readonly workloads: WorkloadsFrom;
  readonly resolver: Resolver;
  readonly answersFrom: readonly string[];
};

export class Agent implements AsyncDisposable {
  readonly #enforcement: Enforcement;
  readonly #connection: DpConnection;
  readonly #names: NameResolver;
  readonly #reporter: Reporter;
  readonly #links: WorkloadLinks;
  readonly #source: WorkloadSource;
  readonly #store: Store;
  readonly #targets = new Targets();
  readonly #nodeAddresses: NodeAddresses;
  #snapshot: Snapshot | undefined;
  #debounce: NodeJS.Timeout | undefined;
  /** Workloads that are waited for, by id. */
  #awaited: ReadonlySet<string> = new Set();
  /** The link of each that is policed, or about to be. */
  #policed: ReadonlyMap<string, WorkloadTarget> = new Map();

  /** Throws DatagramError where another agent runs. */
  constructor(options: AgentOptions, log: Logger) {
    this.#enforcement = new Enforcement({
      send: (datagrams) => this.#connection.send(datagrams),
      log,
      answersFrom: options.answersFrom,
      isNameSettled: (name) => this.#names.isSettled(name),
      onChange: () => this.#enforced(),
      onError: (text) => this.#dpError(text, log),
    });
    this.#connection = new DpConnection({
      dpPath: options.dpPath,
      notifyPath: options.notifyPath,
      log,
      onConnected: () => this.#dpFound(),
      onLost: () => this.#dpLost(),
      onReport: (report) => this.#reported(report),
    });
    this.#names = new NameResolver({
      resolver: options.resolver,
      log,
      onAddresses: (name, addresses) => this.#enforcement.setAddresses(name, addresses),
      onSettled: () => this.#enforcement.wake(),
      onProblem: (name, problem) => this.#reporter.setProblem(`fqdn ${name}`, problem),
    });
    this.#reporter = new Reporter(options.node, log, this.#enforcement, () => this.#connection);
    this.#links = new WorkloadLinks(log, () => this.#changed());
    this.#nodeAddresses = new NodeAddresses(() => this.#changed());
    this.#source = sourceOf(options.workloads, this.#listener(), log);
    const mirror = new Mirror(options.node, log, (snapshot) => {
      this.#snapshot = snapshot;
      this.#changed();
    });
    this.#store = new Store(options.etcd, log, [
      (session) => mirror.follow(session),
      (session) => this.#reporter.follow(session),
    ]);
  }

  /** For metrics. */
  state(): AgentState {
    const { isConnected, reconnects, reportsLost } = this.#connection;
    return {
      workloads: [...this.#policed.values()].map((workload) => ({
        workload,
        enforced: this.#enforcement.stateOf(workload.target.mac),
      })),
      held: this.#awaited.size,
      snapshot: this.#snapshot,
      latency: this.#enforcement.latency.seconds,
      names: this.#enforcement.fqdns().size,
      threats: this.#reporter.threatTotals,
      dp: { isConnected, reconnects, reportsLost },
      etcd: {
        isConnected: this.#store.isConnected,
        reconnects: this.#store.reconnects,
        writes: this.#reporter.writes,
      },
      problems: this.#reporter.problems.list().length,
    };
  }

  /** What is in force stays in force. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
    clearTimeout(this.#debounce);
    this.#links[Symbol.dispose]();
    this.#nodeAddresses[Symbol.dispose]();
    this.#names[Symbol.dispose]();
    this.#enforcement[Symbol.dispose]();
    await this.#connection[Symbol.asyncDispose]();
    await Promise.race([this.#reporter.close().catch(() => undefined), timeout(CLOSE_TIMEOUT_MS)]); // or the lease ends
    await this.#store[Symbol.asyncDispose]();
  }

  #listener(): SourceListener {
    return {
      setPlaces: (places: readonly Place[]) => this.#links.setPlaces(places),
      setAwaited: (ids) => {
        this.#awaited = ids;
      },
      readinessOf: (workload) => this.#readinessOf(workload),
      setProblem: (topic, problem) => this.#reporter.setProblem(topic, problem),
    };
  }

  #changed(): void {
    if (this.#awaited.size > 0) this.#computeAwaited();
    this.#debounce ??= setTimeout(() => {
      this.#debounce = undefined;
      this.#recompute();
    }, DEBOUNCE_MS);
  }

  /** The container runtime waits for these. */
  #computeAwaited(): void {
    const policed = new Map(this.#policed);
    for (const local of this.#links.workloads().filter((each) => this.#awaited.has(idOf(each)))) {
      const workload = this.#targets.updateOne(local, this.#surroundings());
      if (!workload) continue;
      policed.set(idOf(local), workload);
      this.#enforcement.setTarget(workload.target);
      this.#reporter.setWorkload(workload);
    }
    this.#policed = policed;
    this.#followNames();
    this.#source.wake();
  }

  #recompute(): void {
    const { targets, problems } = this.#targets.update(this.#links.workloads(), this.#surroundings());
    this.#policed = new Map(targets.map((workload) => [idOf(workload.local), workload]));
    this.#enforcement.setTargets(new Map(targets.map(({ target }) => [target.mac, target])));
    this.#followNames();
    this.#reporter.setProblem('interfaces', [...this.#links.problems(), ...problems].join('; ') || undefined);
    this.#reporter.setWorkloads(targets);
    if (this.#snapshot) this.#reporter.keepResources(this.#resources(this.#snapshot));
    this.#source.wake();
  }

  #surroundings(): Surroundings {
    return { snapshot: this.#snapshot, nodeIps: this.#nodeAddresses.read() };
  }

  #readinessOf(workload: Identity): Readiness {
    const policed = this.#policed.get(idOf(workload));
    return readiness({
      absence: this.#links.absenceOf(workload),
      policed,
      enforced: policed && this.#enforcement.stateOf(policed.target.mac),
      isDpConnected: this.#connection.isConnected,
      isStoreConnected: this.#store.isConnected,
    });
  }

  /** Of etcd, and of the policies in force. */
  #resources({ resources }: Snapshot): Set<string> {
    const inForce = this.#enforcement.inForce().flatMap(({ generations }) => Object.keys(generations));
    return new Set([...resources.keys(), ...inForce]);
  }

  #enforced(): void {
    this.#followNames();
    this.#reporter.writeWorkloads();
    this.#source.wake();
  }

  #followNames(): void {
    this.#names.setNames(this.#enforcement.fqdns());
    this.#enforcement.wake();
  }

  #reported(report: Report): void {
    this.#enforcement.report(report);
    this.#reporter.fromDp(report);
  }

  #dpFound(): void {
    this.#reporter.setProblem('dp', undefined);
    this.#reporter.writeAgent();
    this.#enforcement.connected();
    this.#source.wake();
  }

  #dpLost(): void {
    this.#enforcement.lost();
    this.#reporter.writeAgent();
    this.#source.wake();
  }

  #dpError(text: string, log: Logger): void {
    log.error({ error: text }, 'dp reports an error');
    this.#reporter.setProblem('dp', text);
  }
}

function sourceOf(from: WorkloadsFrom, listener: SourceListener, log: Logger): WorkloadSource {
  return from.kind === 'netns'
    ? new NamespaceFile(from.path, listener, log)
    : new RuntimeWorkloads(from, listener, log);
}

const timeout = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
