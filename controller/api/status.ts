// The status of a NetworkRule or ClusterNetworkRule: written by the controller, read by people.
import type { Mode, Threat, ThreatCounts } from './keyspace.ts';

/** Of the files that the controller writes where there is no API server; sources of rules leave them alone. */
export const STATUS_SUFFIX = '.status.yaml';

export const CONDITION = { accepted: 'Accepted', programmed: 'Programmed' } as const;

/** As metav1.Condition. */
export type Condition = {
  readonly type: (typeof CONDITION)[keyof typeof CONDITION];
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  /** RFC 3339: when `status` last changed. */
  readonly lastTransitionTime: string;
};

export type RuleHits = {
  readonly name: string;
  readonly hits: number;
  /** RFC 3339; absent for a rule that was never hit. */
  readonly lastHit?: string;
};

export type NetworkRuleStatus = {
  /** The generation that this status is about: the one in force, or on its way to be. */
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly mode?: Mode;
  /** Pods selected, and those of them for which dp has confirmed this generation. */
  readonly workloads: { readonly desired: number; readonly programmed: number };
  /** Nodes with such pods, and those on which all of them are confirmed. */
  readonly nodes: { readonly desired: number; readonly programmed: number };
  /** The same for a table's columns: programmed/desired, and the hits of all rules. */
  readonly summary: { readonly workloads: string; readonly nodes: string; readonly hits: number };
  /** In the order of the spec, egress first; last the default action. */
  readonly rules: readonly RuleHits[];
  /** How many there were in all, and the last reports, newest last. */
  readonly threats: ThreatCounts & { readonly last: readonly Threat[] };
  /** What could not be realised, and where, in words; at most 20. */
  readonly problems: readonly string[];
};
