// Turns what the agent knows into the reports that the controller reads.
import {
  type AgentReport,
  type HitsReport,
  keys,
  type ThreatsReport,
  type WorkloadReport,
} from '@podwall/controller/api/keyspace.ts';
import type { Report, ThreatLog } from '@podwall/dp/protocol/reports.ts';
import type { Logger } from 'pino';
import type { Enforcement } from '../dp/enforcement.ts';
import { isLinkLocal } from '../policy/ranges.ts';
import type { WorkloadTarget } from '../policy/targets.ts';
import type { Entry, EtcdSession } from '../store/session.ts';
import { HitTotals } from './hits.ts';
import { Problems } from './problems.ts';
import { ThreatTotals } from './threat-totals.ts';
import { readThreat, ruleOfThreat, ThreatLists } from './threats.ts';
import { ReportWriter } from './writer.ts';

const AGENT_REPORT_MS = 5000;

export type DpState = { readonly isConnected: boolean; readonly reportsLost: number };

export class Reporter {
  readonly problems = new Problems();
  readonly threatTotals = new ThreatTotals();
  readonly #node: string;
  readonly #log: Logger;
  readonly #enforcement: Enforcement;
  readonly #dp: () => DpState;
  readonly #hits = new HitTotals();
  readonly #threats = new ThreatLists();
  readonly #writer: ReportWriter;
  readonly #timer: NodeJS.Timeout;
  #workloads: readonly WorkloadTarget[] = [];

  constructor(node: string, log: Logger, enforcement: Enforcement, dp: () => DpState) {
    this.#node = node;
    this.#log = log;
    this.#enforcement = enforcement;
    this.#dp = dp;
    this.#writer = new ReportWriter(keys.nodeReportsPrefix(node), (entries) => this.#takeOver(entries));
    this.#timer = setInterval(() => this.writeAgent(), AGENT_REPORT_MS);
    this.writeAgent();
  }

  /** Keys that were written to etcd. */
  get writes(): number {
    return this.#writer.writes;
  }

  follow(session: EtcdSession): Promise<void> {
    return this.#writer.follow(session);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writer.close();
  }

  setProblem(topic: string, problem: string | undefined): void {
    if (this.problems.set(topic, problem)) this.writeAgent();
  }

  setWorkloads(workloads: readonly WorkloadTarget[]): void {
    const macs = new Set(workloads.map(({ target }) => target.mac));
    const uids = new Set(workloads.map(({ uid }) => uid));
    for (const { uid, target } of this.#workloads) {
      if (!macs.has(target.mac)) this.#hits.forget(target.mac);
      if (uid !== undefined && !uids.has(uid)) this.#writer.set(keys.workloadReport(this.#node, uid), undefined);
    }
    this.#workloads = workloads;
    this.writeWorkloads();
  }

  /** One of them, before the others are said. */
  setWorkload(workload: WorkloadTarget): void {
    const others = this.#workloads.filter(({ target }) => target.mac !== workload.target.mac);
    this.#workloads = [...others, workload];
    this.#writeWorkload(workload);
  }

  /** Counts and threats of other resources are forgotten. */
  keepResources(uids: ReadonlySet<string>): void {
    for (const uid of [...this.#hits.uids(), ...this.#threats.uids()]) {
      if (uids.has(uid)) continue;
      this.#hits.remove(uid);
      this.#threats.remove(uid);
      this.#writer.set(keys.hitsReport(this.#node, uid), undefined);
      this.#writer.set(keys.threatsReport(this.#node, uid), undefined);
    }
  }

  fromDp(report: Report): void {
    if (report.kind === 'policyRealized') this.#hits.begin(report.realized.mac, report.realized.epoch);
    if (report.kind === 'threatLog') this.#addThreat(report.threat);
    if (report.kind !== 'ruleHits') return;
    const computed = this.#enforcement.revisions.find(report.mac, report.revision);
    if (!computed) return; // of a policy that this agent did not put in force: its rules are not known
    const risen = this.#hits.count(report.mac, report.revision, report.rules, computed);
    for (const uid of risen) this.#writer.set(keys.hitsReport(this.#node, uid), this.#hits.report(uid));
  }

  writeAgent(): void {
    const { isConnected, reportsLost } = this.#dp();
    const report: AgentReport = {
      node: this.#node,
      time: new Date().toISOString(),
      dp: isConnected ? 'connected' : 'disconnected',
      errors: this.problems.list(),
      reportsLost,
    };
    this.#writer.set(keys.agentReport(this.#node), report);
  }

  writeWorkloads(): void {
    for (const workload of this.#workloads) this.#writeWorkload(workload);
  }

  #writeWorkload({ uid, local, target, waiting }: WorkloadTarget): void {
    if (uid === undefined) return;
    const { inForce, error } = this.#enforcement.stateOf(target.mac);
    const errors = [waiting, error, ...(target.computed?.problems ?? [])].filter((text) => text !== undefined);
    const report: WorkloadReport = {
      uid,
      namespace: local.namespace,
      name: local.name,
      mac: target.mac,
      ips: target.ips.filter((ip) => !isLinkLocal(ip)),
      realized: inForce?.generations ?? {},
      ...(errors.length > 0 && { error: errors.join('; ') }),
    };
    this.#writer.set(keys.workloadReport(this.#node, uid), report);
  }

  #addThreat(log: ThreatLog): void {
    const target = this.#enforcement.targetOf(log.mac);
    const computed = this.#enforcement.revisions.find(log.mac, log.revision);
    const decided = computed && ruleOfThreat(log, computed);
    const context = { node: this.#node, workload: target?.name ?? log.mac, rule: decided?.rule };
    const threat = readThreat(log, context);
    this.threatTotals.add(threat);
    const { time: at, node: _own, ...fields } = threat; // the log has its own time and node
    this.#log.warn({ at, ...fields, resource: decided?.uid }, 'threat');
    if (!decided) return; // no resource of this agent's is behind it
    this.#threats.add(decided.uid, threat);
    this.#writer.set(keys.threatsReport(this.#node, decided.uid), this.#threats.report(decided.uid));
  }

  #takeOver(entries: readonly Entry[]): void {
    const isOf = (key: string, prefix: string): boolean => key.startsWith(prefix);
    for (const { key, text } of entries) {
      if (isOf(key, keys.hitsReport(this.#node, ''))) this.#hits.takeOver(JSON.parse(text) as HitsReport); // our own
      if (isOf(key, keys.threatsReport(this.#node, ''))) this.#threats.takeOver(JSON.parse(text) as ThreatsReport);
    }
    for (const uid of this.#hits.uids()) this.#writer.set(keys.hitsReport(this.#node, uid), this.#hits.report(uid));
    for (const uid of this.#threats.uids())
      this.#writer.set(keys.threatsReport(this.#node, uid), this.#threats.report(uid));
  }
}
