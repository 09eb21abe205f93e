// The agent's side of the soak: tells dp what is wanted over the agent's own connection, and everything again when dp is back.
import type { Logger } from 'pino';
import { command } from '../../agent/dp/batches.ts';
import { DpConnection } from '../../agent/dp/connection.ts';
import type { Report } from '../../dp/protocol/reports.ts';
import {
  CHANGES,
  type Change,
  type ChangeName,
  change,
  initially,
  nameCommand,
  type Wanted,
  wholePolicy,
} from './changes.ts';
import { ProbeKnowledge } from './probe.ts';
import type { Random } from './random.ts';

export type Endpoint = { readonly iface: string; readonly mac: string; readonly ip: string };

/** dp is away for a second at most: an agent that looks for it every two would leave less to see. */
const TIMING = { keepAlive: 500, deadAfter: 10_000, retry: 200 };

export type SoakAgentOptions = {
  readonly dpPath: string;
  readonly notifyPath: string;
  readonly endpoints: readonly Endpoint[];
  readonly random: Random;
  readonly log: Logger;
  /** Before a command that turns the verdict on a workload's probe is sent. */
  readonly onTurn: (workload: number) => void;
  readonly onReport: (report: Report) => void;
};

export class SoakAgent implements AsyncDisposable {
  readonly #options: SoakAgentOptions;
  readonly #connection: DpConnection;
  readonly #wanted: Wanted[];
  readonly #probes: readonly ProbeKnowledge[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #realized = new Set<number>();
  readonly changes = new Map<ChangeName, number>();
  #syncs = 0;

  constructor(options: SoakAgentOptions) {
    const { dpPath, notifyPath, endpoints, log } = options;
    this.#options = options;
    this.#wanted = endpoints.map(({ mac }, i) => initially(i, mac));
    this.#probes = endpoints.map(() => new ProbeKnowledge());
    this.#numbers = new Map(endpoints.map(({ mac }, i) => [mac, i]));
    this.#connection = new DpConnection({
      dpPath,
      notifyPath,
      log,
      timing: TIMING,
      onConnected: () => this.#sendEverything(),
      onLost: () => this.#lose(),
      onReport: (report) => this.#take(report),
    });
  }

  /** How often everything was sent. */
  get syncs(): number {
    return this.#syncs;
  }

  get reportsLost(): number {
    return this.#connection.reportsLost;
  }

  /** Workloads that dp has confirmed a policy for since everything was sent last. */
  get realized(): number {
    return this.#realized.size;
  }

  probeOf(workload: number): ProbeKnowledge {
    const probe = this.#probes[workload];
    if (!probe) throw new RangeError(`workload ${workload} of ${this.#probes.length}`);
    return probe;
  }

  numberOf(mac: string): number | undefined {
    return this.#numbers.get(mac);
  }

  /** One change of one workload, both at random. While dp is away it is remembered, as by an agent. */
  change(): void {
    const { random } = this.#options;
    const workload = random.below(this.#wanted.length);
    const name = random.oneOf(CHANGES);
    const before = this.#wanted[workload];
    if (!before) return;
    const made = change(name, before, random);
    this.#wanted[workload] = made.wanted;
    this.changes.set(name, (this.changes.get(name) ?? 0) + 1);
    if (this.#connection.isConnected) this.#send(made);
  }

  #send({ wanted, datagrams, policies }: Change): void {
    if (policies > 0) {
      const probe = this.probeOf(wanted.workload);
      const before = probe.expectation;
      probe.tell(wanted.probe);
      if (probe.expectation !== before) this.#options.onTurn(wanted.workload);
    }
    this.#connection.send(datagrams).catch(() => undefined); // dp is gone: all is sent once it is back
  }

  /** Names first: a policy that uses them would else refuse what it is to allow. */
  #sendEverything(): void {
    this.#syncs += 1;
    this.#lose();
    const { endpoints } = this.#options;
    const names = this.#wanted.map(nameCommand);
    const macs = endpoints.map(({ iface, mac, ip }) => command('ctrl_add_mac', { iface, mac, pips: [{ ip }] }));
    this.#connection.send([...macs, ...names]).catch(() => undefined);
    for (const wanted of this.#wanted) this.#send({ wanted, datagrams: wholePolicy(wanted), policies: 1 });
  }

  #lose(): void {
    this.#realized.clear();
    for (const probe of this.#probes) probe.lose();
  }

  #take(report: Report): void {
    if (report.kind === 'policyRealized') {
      const workload = this.#numbers.get(report.realized.mac);
      if (workload !== undefined) {
        this.probeOf(workload).confirm();
        this.#realized.add(workload);
      }
    }
    this.#options.onReport(report);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}
