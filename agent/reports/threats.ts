// Threats as dp reports them, turned into those of a resource and its rule; the last of each resource are kept.
import { DEFAULT_RULE, MAX_THREATS, type Threat, type ThreatsReport } from '@podwall/controller/api/keyspace.ts';
import { unpackAddress } from '@podwall/dp/protocol/address.ts';
import { applicationName } from '@podwall/dp/protocol/applications.ts';
import { THREAT_FLAG, type ThreatLog } from '@podwall/dp/protocol/reports.ts';
import { severityName, threatOfId } from '@podwall/dp/protocol/threats.ts';
import { ACTION, PROTOCOL } from '@podwall/dp/protocol/values.ts';
import type { ComputedPolicy, RuleName } from '../policy/policy.ts';

const ACTION_NAMES = new Map<number, Threat['action']>([
  [ACTION.open, 'allow'],
  [ACTION.deny, 'deny'],
  [ACTION.learn, 'learn'],
  [ACTION.violate, 'violate'],
]);
const PROTOCOL_NAMES = new Map<number, string>(Object.entries(PROTOCOL).map(([name, number]) => [number, name]));

export type ThreatContext = {
  readonly node: string;
  /** namespace/name. */
  readonly workload: string;
  /** Undefined where the rule is not known. */
  readonly rule: string | undefined;
};

/** Everything but the rule's name is in the log itself. */
export function readThreat(log: ThreatLog, { node, workload, rule }: ThreatContext): Threat {
  return {
    time: new Date(log.reportedAt * 1000).toISOString(),
    id: log.threatId,
    threat: log.message || (threatOfId(log.threatId)?.name ?? `threat ${log.threatId}`),
    severity: severityName(log.severity),
    action: ACTION_NAMES.get(log.action) ?? 'deny',
    node,
    workload,
    rule: rule ?? DEFAULT_RULE,
    direction: directionOf(log),
    source: unpackAddress(log.etherType, log.source),
    destination: unpackAddress(log.etherType, log.destination),
    protocol: log.ipProtocol === 0 ? '0' : (PROTOCOL_NAMES.get(log.ipProtocol) ?? String(log.ipProtocol)),
    sourcePort: log.sourcePort,
    destinationPort: log.destinationPort,
    application: applicationName(log.application),
    count: log.count,
  };
}

/** The rule that decided, or the default action of the connection's direction. */
export function ruleOfThreat(log: ThreatLog, { ruleNames, defaultOf }: ComputedPolicy): RuleName | undefined {
  if (log.ruleId !== 0) return ruleNames.get(log.ruleId);
  const uid = defaultOf[directionOf(log)] ?? defaultOf.egress ?? defaultOf.ingress;
  return uid === undefined ? undefined : { uid, rule: DEFAULT_RULE };
}

const directionOf = ({ flags }: ThreatLog): Threat['direction'] =>
  (flags & THREAT_FLAG.ingressConnection) === 0 ? 'egress' : 'ingress';

const joined = (earlier: ThreatsReport, later: ThreatsReport): ThreatsReport => ({
  uid: earlier.uid,
  packets: earlier.packets + later.packets,
  reports: earlier.reports + later.reports,
  last: [...earlier.last, ...later.last].slice(-MAX_THREATS),
});

export class ThreatLists {
  readonly #reports = new Map<string, ThreatsReport>();

  /** Goes on from what an earlier run of this agent reported. */
  takeOver(earlier: ThreatsReport): void {
    this.#reports.set(earlier.uid, joined(earlier, this.report(earlier.uid)));
  }

  add(uid: string, threat: Threat): void {
    this.#reports.set(uid, joined(this.report(uid), { uid, packets: threat.count, reports: 1, last: [threat] }));
  }

  report(uid: string): ThreatsReport {
    return this.#reports.get(uid) ?? { uid, packets: 0, reports: 0, last: [] };
  }

  uids(): readonly string[] {
    return [...this.#reports.keys()];
  }

  /** The resource is gone. */
  remove(uid: string): void {
    this.#reports.delete(uid);
  }
}
