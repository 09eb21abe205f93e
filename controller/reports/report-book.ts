// What agents report, as last known: decoded once, and counters and addresses kept while an agent is away.
import { type AgentReport, keys, type Threat, type WorkloadReport } from '../api/keyspace.ts';
import { readAgentReport, readHitsReport, readThreatsReport, readWorkloadReport } from '../api/stored.ts';
import { reportedAddresses, type SeenAddresses, withoutReport } from './addresses.ts';
import { addHits, addThreats, type NodeHits, type NodeThreats } from './counters.ts';

type Entries = ReadonlyMap<string, { readonly value: string }>;

/** What is new with one change of reports. */
export type News = {
  readonly agentsFound: readonly string[];
  readonly agentsLost: readonly string[];
  readonly threats: readonly { readonly resourceUid: string; readonly threat: Threat }[];
  /** Keys whose values are no reports. */
  readonly unreadable: readonly string[];
  readonly areAddressesNew: boolean;
};

type ReportKey = { readonly node: string; readonly kind: string; readonly uid: string };

export class ReportBook {
  readonly agents = new Map<string, AgentReport>();
  /** Workload uid → its report and from where. */
  readonly workloads = new Map<string, { readonly node: string; readonly report: WorkloadReport }>();
  /** Resource uid → node → counts. */
  readonly hits = new Map<string, Map<string, NodeHits>>();
  readonly threats = new Map<string, Map<string, NodeThreats>>();
  /** Workload uid → addresses. */
  readonly addresses = new Map<string, SeenAddresses>();

  #areAddressesNew = false;

  /** `changed` are the keys whose entries are other than at the last call. */
  apply(changed: readonly string[], entries: Entries): News {
    const agentsBefore = new Set(this.agents.keys());
    this.#areAddressesNew = false;
    const threats: { resourceUid: string; threat: Threat }[] = [];
    const unreadable: string[] = [];
    const parsed = changed.flatMap((key) => {
      const parts = parseReportKey(key);
      return parts ? [{ key, ...parts, value: entries.get(key)?.value }] : [];
    });
    // Agents first: whether a workload's report went alone or with its agent's is known only then.
    for (const { key, node, value } of parsed.filter(({ kind }) => kind === 'agent')) {
      const report = value === undefined ? undefined : readAgentReport(value);
      if (report) this.agents.set(node, report);
      else this.agents.delete(node);
      if (value !== undefined && !report) unreadable.push(key);
    }
    for (const { key, node, kind, uid, value } of parsed.filter(({ kind }) => kind !== 'agent')) {
      if (value === undefined) {
        if (kind === 'workloads') this.#forgetWorkload(node, uid, agentsBefore.has(node) && this.agents.has(node));
      } else if (kind === 'workloads') {
        if (!this.#takeWorkload(node, uid, value)) unreadable.push(key);
      } else if (kind === 'hits') {
        if (!this.#takeHits(node, uid, value)) unreadable.push(key);
      } else {
        const fresh = this.#takeThreats(node, uid, value);
        if (fresh) threats.push(...fresh.map((threat) => ({ resourceUid: uid, threat })));
        else unreadable.push(key);
      }
    }
    return {
      agentsFound: [...this.agents.keys()].filter((node) => !agentsBefore.has(node)),
      agentsLost: [...agentsBefore].filter((node) => !this.agents.has(node)),
      threats,
      unreadable,
      areAddressesNew: this.#areAddressesNew,
    };
  }

  /** Addresses that were published of a workload earlier, for as long as no report says otherwise. */
  remember(uid: string, node: string, ips: readonly string[]): void {
    if (!this.addresses.has(uid)) this.addresses.set(uid, { node, ips, isReported: false });
  }

  /** Forgets what belongs to resources and workloads that are no more. */
  retain(resourceUids: ReadonlySet<string>, workloadUids: ReadonlySet<string>): void {
    for (const uid of this.hits.keys()) if (!resourceUids.has(uid)) this.hits.delete(uid);
    for (const uid of this.threats.keys()) if (!resourceUids.has(uid)) this.threats.delete(uid);
    for (const [uid, { isReported }] of this.addresses) {
      if (!isReported && !workloadUids.has(uid)) this.addresses.delete(uid);
    }
  }

  #takeWorkload(node: string, uid: string, value: string): boolean {
    const report = readWorkloadReport(value);
    if (!report) return false;
    this.workloads.set(uid, { node, report });
    const seen = reportedAddresses(node, report);
    const before = this.addresses.get(uid);
    if (before?.node !== node || before.ips.join() !== seen.ips.join()) this.#areAddressesNew = true;
    this.addresses.set(uid, seen);
    return true;
  }

  #forgetWorkload(node: string, uid: string, agentStayed: boolean): void {
    if (this.workloads.get(uid)?.node === node) this.workloads.delete(uid);
    const seen = this.addresses.get(uid);
    if (seen?.node !== node) return;
    const kept = withoutReport(seen, agentStayed);
    if (kept) {
      this.addresses.set(uid, kept);
    } else {
      this.addresses.delete(uid);
      this.#areAddressesNew = true;
    }
  }

  #takeHits(node: string, uid: string, value: string): boolean {
    const report = readHitsReport(value);
    if (!report) return false;
    const nodes = entryOf(this.hits, uid);
    nodes.set(node, addHits(nodes.get(node), report));
    return true;
  }

  /** Answers those that were not told of before. */
  #takeThreats(node: string, uid: string, value: string): readonly Threat[] | undefined {
    const report = readThreatsReport(value);
    if (!report) return undefined;
    const nodes = entryOf(this.threats, uid);
    const known = new Set(nodes.get(node)?.last.last.map((threat) => JSON.stringify(threat)));
    nodes.set(node, addThreats(nodes.get(node), report));
    return report.last.filter((threat) => !known.has(JSON.stringify(threat)));
  }
}

function entryOf<T>(map: Map<string, Map<string, T>>, key: string): Map<string, T> {
  const found = map.get(key) ?? new Map<string, T>();
  map.set(key, found);
  return found;
}

function parseReportKey(key: string): ReportKey | undefined {
  if (!key.startsWith(keys.reportsPrefix)) return undefined;
  const [node = '', kind = '', uid = '', ...rest] = key.slice(keys.reportsPrefix.length).split('/');
  if (node === '' || rest.length > 0) return undefined;
  if (kind === 'agent' && uid === '') return { node, kind, uid };
  return ['workloads', 'hits', 'threats'].includes(kind) && uid !== '' ? { node, kind, uid } : undefined;
}
