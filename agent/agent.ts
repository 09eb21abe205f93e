// Puts the parts together: etcd and the node's workloads in, policies to dp out, and what dp reports back to etcd.
import type { Report } from '@podwall/dp/protocol/reports.ts';
import type { Logger } from 'pino';
import { DpConnection } from './dp/connection.ts';
import { Enforcement } from './dp/enforcement.ts';
import type { Resolver } from './fqdn/lookup.ts';
import { NameResolver } from './fqdn/resolver.ts';
import { Targets } from './policy/targets.ts';
import { Reporter } from './reports/reporter.ts';
import { Mirror, type Snapshot } from './store/mirror.ts';
import type { EtcdOptions } from './store/session.ts';
import { Store } from './store/store.ts';
import { WorkloadLinks } from './workloads/links.ts';
import { NamespaceFile } from './workloads/netns-file.ts';
import { NodeAddresses } from './workloads/node-addresses.ts';

/** Changes that come together are computed together. */
const DEBOUNCE_MS = 20;
const CLOSE_TIMEOUT_MS = 1000;

export type AgentOptions = {
  readonly node: string;
  readonly etcd: EtcdOptions;
  readonly dpPath: string;
  readonly notifyPath: string;
  readonly workloadsPath: string;
  readonly resolver: Resolver;
};

export class Agent implements AsyncDisposable {
  readonly #enforcement: Enforcement;
  readonly #connection: DpConnection;
  readonly #names: NameResolver;
  readonly #reporter: Reporter;
  readonly #links: WorkloadLinks;
  readonly #file: NamespaceFile;
  readonly #store: Store;
  readonly #targets = new Targets();
  readonly #nodeAddresses: NodeAddresses;
  #snapshot: Snapshot | undefined;
  #debounce: NodeJS.Timeout | undefined;

  /** Throws DatagramError where another agent runs. */
  constructor(options: AgentOptions, log: Logger) {
    this.#enforcement = new Enforcement({
      send: (datagrams) => this.#connection.send(datagrams),
      log,
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
    this.#file = new NamespaceFile(
      options.workloadsPath,
      log,
      (entries) => this.#links.setEntries(entries),
      (problem) => this.#reporter.setProblem('workloads', problem),
    );
    const mirror = new Mirror(options.node, log, (snapshot) => {
      this.#snapshot = snapshot;
      this.#changed();
    });
    this.#store = new Store(options.etcd, log, [
      (session) => mirror.follow(session),
      (session) => this.#reporter.follow(session),
    ]);
  }

  /** What is in force stays in force. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#debounce);
    this.#file[Symbol.dispose]();
    this.#links[Symbol.dispose]();
    this.#nodeAddresses[Symbol.dispose]();
    this.#names[Symbol.dispose]();
    this.#enforcement[Symbol.dispose]();
    await this.#connection[Symbol.asyncDispose]();
    await Promise.race([this.#reporter.close().catch(() => undefined), timeout(CLOSE_TIMEOUT_MS)]); // or the lease ends
    await this.#store[Symbol.asyncDispose]();
  }

  #changed(): void {
    this.#debounce ??= setTimeout(() => {
      this.#debounce = undefined;
      this.#recompute();
    }, DEBOUNCE_MS);
  }

  #recompute(): void {
    const { targets, problems } = this.#targets.update(this.#links.workloads(), {
      snapshot: this.#snapshot,
      nodeIps: this.#nodeAddresses.read(),
    });
    this.#enforcement.setTargets(new Map(targets.map(({ target }) => [target.mac, target])));
    this.#followNames();
    this.#reporter.setProblem('interfaces', [...this.#links.problems(), ...problems].join('; ') || undefined);
    this.#reporter.setWorkloads(targets);
    if (this.#snapshot) this.#reporter.keepResources(this.#resources(this.#snapshot));
  }

  /** Of etcd, and of the policies in force. */
  #resources({ resources }: Snapshot): Set<string> {
    const inForce = this.#enforcement.inForce().flatMap(({ generations }) => Object.keys(generations));
    return new Set([...resources.keys(), ...inForce]);
  }

  #enforced(): void {
    this.#followNames();
    this.#reporter.writeWorkloads();
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
  }

  #dpLost(): void {
    this.#enforcement.lost();
    this.#reporter.writeAgent();
  }

  #dpError(text: string, log: Logger): void {
    log.error({ error: text }, 'dp reports an error');
    this.#reporter.setProblem('dp', text);
  }
}

const timeout = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
