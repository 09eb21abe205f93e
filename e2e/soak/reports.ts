// What dp reported in the course of a soak, over all its restarts. Pure.
import { ERROR_CODE, type Report } from '../../dp/protocol/reports.ts';
import { CounterBook } from './books.ts';
import { SHORT_FLOWS } from './flows.ts';

type OfKind<Kind extends Report['kind']> = Extract<Report, { readonly kind: Kind }>;
type Connection = OfKind<'connection'>['connections'][number];

/** Of a connection, the end that a workload has; `protocol`: its number. */
export type ConnectionName = {
  readonly mac: string;
  readonly protocol: number;
  readonly workloadPort: number;
  readonly peerPort: number;
};
export const COUNTED = ['clientPackets', 'clientBytes', 'serverPackets', 'serverBytes'] as const;
export type Counted = (typeof COUNTED)[number];

const INGRESS = 1;

export class Reports {
  readonly #hits = new CounterBook();
  readonly #connections = new CounterBook();
  readonly #epochs = new CounterBook();
  readonly #threats = new Map<string, number>();
  readonly #threatened = new Map<string, number>();
  readonly #refusals: string[] = [];
  #lost = 0;

  take(report: Report): void {
    switch (report.kind) {
      case 'ruleHits':
        for (const { ruleId, hits } of report.rules)
          this.#hits.take(`${report.mac} ${ruleId} ${report.revision}`, hits);
        break;
      case 'connection':
        for (const connection of report.connections) this.#takeConnection(connection);
        break;
      case 'policyRealized':
        this.#epochs.take(report.realized.mac, BigInt(report.realized.epoch));
        break;
      case 'threatLog': {
        const { message, mac, count } = report.threat;
        this.#threatened.set(mac, (this.#threatened.get(mac) ?? 0) + count);
        this.#threats.set(message, (this.#threats.get(message) ?? 0) + 1);
        break;
      }
      case 'error':
        if (report.code !== ERROR_CODE.reportsLost) this.#refusals.push(report.text);
        else this.#lost += Number(/^(\d+) reports lost/.exec(report.text)?.[1] ?? 0); // or hits, or flows
    }
  }

  #takeConnection(connection: Connection): void {
    const { mac, ipProtocol, flags, clientPort, serverPort } = connection;
    // One packet each, and too many to remember them all.
    if (serverPort === SHORT_FLOWS.newAllowed.peerPort) return;
    const [workloadPort, peerPort] = flags & INGRESS ? [serverPort, clientPort] : [clientPort, serverPort];
    const name = nameOf({ mac, protocol: ipProtocol, workloadPort, peerPort });
    for (const counted of COUNTED) this.#connections.take(`${name} ${counted}`, connection[counted]);
  }

  /** By "MAC rule": its hits, over all revisions of the workload's policy. */
  hits(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const [name, hits] of this.#hits.entries()) {
      const key = name.slice(0, name.lastIndexOf(' '));
      sums.set(key, (sums.get(key) ?? 0) + Number(hits));
    }
    return sums;
  }

  /** Undefined: it was never reported. */
  connection(name: ConnectionName, counted: Counted): number | undefined {
    const value = this.#connections.get(`${nameOf(name)} ${counted}`);
    return value === undefined ? undefined : Number(value);
  }

  get backwards(): {
    readonly hits: readonly string[];
    readonly connections: readonly string[];
    readonly epochs: readonly string[];
  } {
    return {
      hits: this.#hits.backwards,
      connections: this.#connections.backwards,
      epochs: this.#epochs.backwards,
    };
  }

  /** Threats by their message. */
  get threats(): ReadonlyMap<string, number> {
    return this.#threats;
  }

  /** Packets of a workload that its threats stand for. */
  packetsOf(mac: string): number {
    return this.#threatened.get(mac) ?? 0;
  }

  /** Commands that dp did not carry out, in its words. */
  get refusals(): readonly string[] {
    return this.#refusals;
  }

  /** Reports that dp said it could not send. */
  get lost(): number {
    return this.#lost;
  }
}

const nameOf = ({ mac, protocol, workloadPort, peerPort }: ConnectionName): string =>
  `${mac} ${protocol} ${workloadPort} ${peerPort}`;
