// What the agent's metrics are, and their values from its state. Pure.
import { type Counted, type Definitions, type Readings, samples } from '@podwall/metrics/definition.ts';
import type { EnforcementState } from './dp/enforcement.ts';
import { LATENCY_BOUNDS } from './dp/latency.ts';
import type { WorkloadTarget } from './policy/targets.ts';
import { SEVERITIES, type Severity } from './reports/threat-totals.ts';
import type { Snapshot } from './store/mirror.ts';

export const AGENT_METRICS = {
  podwall_agent_workloads: { type: 'gauge', help: 'Workloads of this node whose interface is known.' },
  podwall_agent_workloads_selected: { type: 'gauge', help: 'Of these, workloads that any resource selects.' },
  podwall_agent_workloads_programmed: {
    type: 'gauge',
    help: 'Of the selected ones, workloads for which dp has confirmed the policy that is wanted now.',
  },
  podwall_agent_workloads_failed: { type: 'gauge', help: 'Workloads whose last policy dp refused or did not confirm.' },
  podwall_agent_workloads_waiting: {
    type: 'gauge',
    help: 'Workloads of which etcd does not hold yet, or no more, what their policy is made of.',
  },
  podwall_agent_workloads_held: {
    type: 'gauge',
    help: 'Workloads that the container runtime does not start before their policy is in force.',
  },
  podwall_agent_resources: { type: 'gauge', help: 'Resources that select workloads of this node.' },
  podwall_agent_rules: { type: 'gauge', help: 'Rules in the policies that dp has confirmed, over all workloads.' },
  podwall_agent_generations_wanted: { type: 'gauge', help: 'Pairs of a resource and a workload that it selects.' },
  podwall_agent_generations_realized: {
    type: 'gauge',
    help: 'Of these, pairs where dp has confirmed the resource’s present generation for the workload.',
  },
  podwall_agent_policy_latency_seconds: {
    type: 'histogram',
    help: 'From when a policy was wanted until dp confirmed it, each policy once.',
    bounds: LATENCY_BOUNDS,
  },
  podwall_agent_names: { type: 'gauge', help: 'Domain names of rules, whose addresses are kept up.' },
  podwall_agent_threats_total: {
    type: 'counter',
    help: 'Threats that dp reported.',
    labels: { severity: SEVERITIES },
  },
  podwall_agent_threat_packets_total: {
    type: 'counter',
    help: 'Packets that these threats stand for.',
    labels: { severity: SEVERITIES },
  },
  podwall_agent_reports_lost_total: { type: 'counter', help: 'Reports of dp that did not arrive.' },
  podwall_agent_dp_connected: { type: 'gauge', help: '1 while dp answers, else 0.' },
  podwall_agent_dp_reconnects_total: { type: 'counter', help: 'How often dp was found again after it was lost.' },
  podwall_agent_etcd_connected: { type: 'gauge', help: '1 while etcd answers, else 0.' },
  podwall_agent_etcd_reconnects_total: { type: 'counter', help: 'How often etcd was found again after it was lost.' },
  podwall_agent_etcd_writes_total: { type: 'counter', help: 'Reports written to etcd, or removed there.' },
  podwall_agent_problems: { type: 'gauge', help: 'What can’t be done at present, as rules’ status says in words.' },
} as const satisfies Definitions;

export type MeasuredWorkload = {
  readonly workload: Pick<WorkloadTarget, 'target' | 'waiting'>;
  readonly enforced: EnforcementState;
};

export type AgentState = {
  readonly workloads: readonly MeasuredWorkload[];
  readonly held: number;
  /** Undefined before etcd was listed. */
  readonly snapshot: Pick<Snapshot, 'resources'> | undefined;
  readonly latency: Counted;
  readonly names: number;
  readonly threats: {
    readonly reports: Readonly<Record<Severity, number>>;
    readonly packets: Readonly<Record<Severity, number>>;
  };
  readonly dp: { readonly isConnected: boolean; readonly reconnects: number; readonly reportsLost: number };
  readonly etcd: { readonly isConnected: boolean; readonly reconnects: number; readonly writes: number };
  readonly problems: number;
};

/** In words, what it still waits for. */
export function lacksOf({ snapshot, dp }: AgentState): string[] {
  return [...(dp.isConnected ? [] : ['dp does not answer']), ...(snapshot ? [] : ['etcd was not listed yet'])];
}

export function readAgent(state: AgentState): Readings<typeof AGENT_METRICS> {
  const { workloads, snapshot, threats, dp, etcd } = state;
  const selected = workloads.filter(({ workload }) => workload.target.computed?.policy);
  const { wanted, realized } = countGenerations(state);
  return {
    podwall_agent_workloads: workloads.length,
    podwall_agent_workloads_selected: selected.length,
    podwall_agent_workloads_programmed: selected.filter(
      ({ workload, enforced }) => workload.target.computed === enforced.inForce,
    ).length,
    podwall_agent_workloads_failed: workloads.filter(({ enforced }) => enforced.error !== undefined).length,
    podwall_agent_workloads_waiting: workloads.filter(({ workload }) => workload.waiting !== undefined).length,
    podwall_agent_workloads_held: state.held,
    podwall_agent_resources: snapshot?.resources.size ?? 0,
    podwall_agent_rules: workloads.reduce(
      (sum, { enforced }) => sum + (enforced.inForce?.policy?.policy_rules.length ?? 0),
      0,
    ),
    podwall_agent_generations_wanted: wanted,
    podwall_agent_generations_realized: realized,
    podwall_agent_policy_latency_seconds: state.latency,
    podwall_agent_names: state.names,
    podwall_agent_threats_total: samples('severity', threats.reports),
    podwall_agent_threat_packets_total: samples('severity', threats.packets),
    podwall_agent_reports_lost_total: dp.reportsLost,
    podwall_agent_dp_connected: Number(dp.isConnected),
    podwall_agent_dp_reconnects_total: dp.reconnects,
    podwall_agent_etcd_connected: Number(etcd.isConnected),
    podwall_agent_etcd_reconnects_total: etcd.reconnects,
    podwall_agent_etcd_writes_total: etcd.writes,
    podwall_agent_problems: state.problems,
  };
}

/** A resource that etcd has no more is wanted as it was. */
function countGenerations({ workloads, snapshot }: AgentState): { readonly wanted: number; readonly realized: number } {
  let [wanted, realized] = [0, 0];
  for (const { workload, enforced } of workloads)
    for (const [uid, computed] of Object.entries(workload.target.computed?.generations ?? {})) {
      const generation = snapshot?.resources.get(uid)?.generation ?? computed;
      wanted += 1;
      if (enforced.inForce?.generations[uid] === generation) realized += 1;
    }
  return { wanted, realized };
}
