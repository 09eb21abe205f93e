// The etcd keyspace /podwall/v1/: every key, who writes it, and what its JSON value holds.

export const ROOT = '/podwall/v1/';

export const keys = {
  /** The controller that leads, leased: who it is. It alone may write what controllers write. */
  leader: `${ROOT}leader`,
  rulesPrefix: `${ROOT}rules/`,
  /** controller: {@link PublishedResource} */
  rules: (resourceUid: string) => `${ROOT}rules/${resourceUid}`,
  groupsPrefix: `${ROOT}groups/`,
  /** Every member of one group. */
  groupPrefix: (hash: string) => `${ROOT}groups/${hash}/`,
  /** controller: {@link GroupMember} */
  groupMember: (hash: string, uid: string) => `${ROOT}groups/${hash}/${uid}`,
  nodesPrefix: `${ROOT}nodes/`,
  /** Every workload of one node. */
  workloadsPrefix: (node: string) => `${ROOT}nodes/${node}/workloads/`,
  /** controller: {@link PublishedWorkload} */
  workload: (node: string, uid: string) => `${ROOT}nodes/${node}/workloads/${uid}`,
  reportsPrefix: `${ROOT}reports/`,
  /** Everything one agent reports. */
  nodeReportsPrefix: (node: string) => `${ROOT}reports/${node}/`,
  /** agent, leased: {@link AgentReport} */
  agentReport: (node: string) => `${ROOT}reports/${node}/agent`,
  /** agent, leased: {@link WorkloadReport} */
  workloadReport: (node: string, uid: string) => `${ROOT}reports/${node}/workloads/${uid}`,
  /** agent, leased: {@link HitsReport} */
  hitsReport: (node: string, resourceUid: string) => `${ROOT}reports/${node}/hits/${resourceUid}`,
  /** agent, leased: {@link ThreatsReport} */
  threatsReport: (node: string, resourceUid: string) => `${ROOT}reports/${node}/threats/${resourceUid}`,
} as const;

/**
 * Lower goes first: which kind of resource a rule came from. What no rule of any tier matches gets the default action:
 * of the resource that goes first, unless a NetworkPolicy isolates the pod in that direction; then it is denied.
 */
export const TIER = { clusterNetworkRule: 100, networkRule: 200, networkPolicy: 300 } as const;

export type Mode = 'Discover' | 'Monitor' | 'Protect';

/**
 * One rule in the reference's form (its §4.3), one peer each: a resource's rule with several peers becomes several
 * entries of the same name. `from` and `to` are one of
 *   nv.workload            the workload that the policy is for (any address of it)
 *   nv.any                 every address
 *   nv.ip.A | nv.ip.A-B | nv.ip.A/N     an address, a range with both ends, a network
 *   nv.fqdn.NAME           a name's addresses (in `to` only); NAME may begin with *.
 *   nv.group.HASH          the members of a group
 * `ports` joins with commas: tcp/443, tcp/8000-8100, udp/53, sctp/0-65535, icmp, icmpv6, any, or a container port's
 * name (the workload's own for ingress, the group member's for egress), alone (http) or of one protocol (tcp/http).
 */
export type PublishedRule = {
  readonly name: string;
  readonly direction: 'egress' | 'ingress';
  readonly from: string;
  readonly to: string;
  readonly ports: string;
  readonly action: 'allow' | 'deny';
  /** Names of dp/protocol/applications.ts; empty: every application. */
  readonly applications: readonly string[];
  readonly vhost?: boolean;
};

export type PublishedResource = {
  readonly uid: string;
  readonly kind: 'ClusterNetworkRule' | 'NetworkRule' | 'NetworkPolicy';
  /** Empty for a cluster resource. */
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** Of the spec, by which the controller sees that the generation rises; absent where the source counts for itself. */
  readonly digest?: string;
  readonly tier: number;
  readonly priority: number;
  readonly mode: Mode;
  readonly defaultAction: 'allow' | 'deny';
  /** The directions in which this resource polices at all, and so has a default action. */
  readonly directions: readonly ('egress' | 'ingress')[];
  /** In order of priority. Those of a NetworkPolicy all allow, and are named by their place: `ingress[0]`. */
  readonly rules: readonly PublishedRule[];
};

export type NamedPort = { readonly protocol: 'tcp' | 'udp' | 'sctp'; readonly port: number };

/** Container ports by name: two containers of a pod may each have one of the same name. */
export type NamedPorts = Readonly<Record<string, readonly NamedPort[]>>;

export type GroupMember = { readonly ips: readonly string[]; readonly ports: NamedPorts };

export type PublishedWorkload = {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Uids of the resources that select it, those that go first first; empty for a pod that none selects. */
  readonly resources: readonly string[];
  readonly ports: NamedPorts;
};

export type AgentReport = {
  readonly node: string;
  /** RFC 3339. */
  readonly time: string;
  readonly dp: 'connected' | 'disconnected';
  /** What could not be done, in words, newest last; at most 20. */
  readonly errors: readonly string[];
  /** Reports from dp that were lost on the way, since the agent started. */
  readonly reportsLost: number;
};

export type WorkloadReport = {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly mac: string;
  readonly ips: readonly string[];
  /** Resource uid → generation that dp has confirmed to be in force for this workload. */
  readonly realized: Readonly<Record<string, number>>;
  /** Why the last change is not in force, in words. */
  readonly error?: string;
};

/** Rule name → count; the default action counts under the name DEFAULT_RULE. */
export type HitsReport = {
  readonly uid: string;
  readonly rules: Readonly<Record<string, { readonly hits: number; readonly lastHit: string }>>;
};

export const DEFAULT_RULE = '(default)';

export type Threat = {
  /** RFC 3339. */
  readonly time: string;
  readonly id: number;
  readonly threat: string;
  readonly severity: 'info' | 'low' | 'medium' | 'high' | 'critical';
  readonly action: 'allow' | 'deny' | 'learn' | 'violate';
  readonly node: string;
  /** namespace/name of the workload. */
  readonly workload: string;
  /** Rule name, or DEFAULT_RULE. */
  readonly rule: string;
  readonly direction: 'egress' | 'ingress';
  readonly source: string;
  readonly destination: string;
  /** tcp, udp, icmp, icmpv6, or the protocol's number. */
  readonly protocol: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly application: string;
  readonly count: number;
};

export const MAX_THREATS = 20;

export type ThreatCounts = {
  /** Of packets: one threat may stand for several, its `count`. */
  readonly packets: number;
  /** Of threats. */
  readonly reports: number;
};

/** The last threats, newest last, and how many there were in all. */
export type ThreatsReport = ThreatCounts & { readonly uid: string; readonly last: readonly Threat[] };
