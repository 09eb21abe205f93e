// What the controller's metrics are, and their values from its state. Pure.
import { type Definitions, type Readings, samples } from '@podwall/metrics/definition.ts';
import { networkPolicyRules } from './api/network-policy.ts';
import type { Pod, Rule } from './api/resources.ts';
import { CONDITION } from './api/status.ts';
import type { Compiled } from './compile/compile.ts';
import type { Generation } from './compile/generations.ts';
import type { ReportBook } from './reports/report-book.ts';
import type { Declared } from './sources/declared.ts';
import type { ResourceStatus } from './status/status-sink.ts';

const CONDITION_STATUSES = ['True', 'False', 'Unknown'] as const;
const CONDITION_TYPES = [CONDITION.accepted, CONDITION.programmed] as const;

export const CONTROLLER_METRICS = {
  podwall_controller_leading: {
    type: 'gauge',
    help: '1 where this controller writes; 0 where it stands by, and then it shows what it follows, but no status.',
  },
  podwall_controller_resources: {
    type: 'gauge',
    help: 'Resources with rules that the source declares and that are valid.',
    labels: { kind: ['ClusterNetworkRule', 'NetworkRule', 'NetworkPolicy'] },
  },
  podwall_controller_rules: { type: 'gauge', help: 'Rules in these resources.' },
  podwall_controller_refusals: {
    type: 'gauge',
    help: 'What the source declares and is not taken over, as it is wrong.',
  },
  podwall_controller_resource_conditions: {
    type: 'gauge',
    help: 'Resources whose status has this condition.',
    labels: { type: CONDITION_TYPES, status: CONDITION_STATUSES },
  },
  podwall_controller_pods: { type: 'gauge', help: 'Pods that are on a node.' },
  podwall_controller_pods_selected: { type: 'gauge', help: 'Of these, pods that any resource selects.' },
  podwall_controller_pods_programmed: {
    type: 'gauge',
    help: 'Of the selected ones, pods for which every resource that selects them is in force as it is now.',
  },
  podwall_controller_generations_wanted: {
    type: 'gauge',
    help: 'Pairs of a resource and a pod that it selects.',
  },
  podwall_controller_generations_realized: {
    type: 'gauge',
    help: 'Of these, pairs where dp has confirmed the resource’s present generation for the pod.',
  },
  podwall_controller_nodes: {
    type: 'gauge',
    help: 'Nodes that have pods: the agent reports, it reports without reaching dp, or it does not report.',
    labels: { state: ['reporting', 'without_dp', 'silent'] },
  },
  podwall_controller_etcd_connected: { type: 'gauge', help: '1 while etcd is followed, else 0.' },
  podwall_controller_etcd_reconnects_total: {
    type: 'counter',
    help: 'How often etcd was found again after it was lost.',
  },
  podwall_controller_etcd_keys: { type: 'gauge', help: 'Keys of Podwall’s that etcd holds.' },
  podwall_controller_etcd_writes_total: {
    type: 'counter',
    help: 'Keys that this controller put into etcd, or deleted.',
    labels: { kind: ['put', 'delete'] },
  },
  podwall_controller_status_writes_total: {
    type: 'counter',
    help: 'Statuses written: patches of resources, or files.',
  },
  podwall_controller_events_dropped_total: {
    type: 'counter',
    help: 'Kubernetes Events that were not written, as there were too many at once.',
  },
} as const satisfies Definitions;

/** What the reconciler knows, and shows while it acts. */
export type Picture = {
  readonly declared: Declared | undefined;
  readonly isActing: boolean;
  readonly compiled: Compiled | undefined;
  readonly generations: ReadonlyMap<string, Generation>;
  readonly reports: Pick<ReportBook, 'agents' | 'workloads'>;
  readonly statuses: readonly ResourceStatus[];
};

export type ControllerState = Picture & {
  readonly etcd: {
    readonly isConnected: boolean;
    readonly reconnects: number;
    readonly keys: number;
    readonly puts: number;
    readonly deletions: number;
  };
  readonly statusWrites: number;
  readonly eventsDropped: number;
};

/** In words, what it still waits for; a controller that stands by needs no more. */
export function lacksOf({ declared, etcd }: ControllerState): string[] {
  return [
    ...(declared ? [] : ['the source was not listed yet']),
    ...(etcd.isConnected ? [] : ['etcd is not connected']),
  ];
}

export function readController(state: ControllerState): Readings<typeof CONTROLLER_METRICS> {
  const { declared, etcd, isActing } = state;
  const { rules = [], pods = [], refusals = [] } = declared ?? {};
  const ofKind = (kind: Rule['kind']): number => rules.filter((rule) => rule.kind === kind).length;
  const { selected, programmed, wanted, realized } = countPods(state);
  return {
    podwall_controller_leading: Number(isActing),
    podwall_controller_resources: samples('kind', {
      ClusterNetworkRule: ofKind('ClusterNetworkRule'),
      NetworkRule: ofKind('NetworkRule'),
      NetworkPolicy: ofKind('NetworkPolicy'),
    }),
    podwall_controller_rules: rules.reduce((sum, rule) => sum + ruleCount(rule), 0),
    podwall_controller_refusals: refusals.length,
    podwall_controller_resource_conditions: countConditions(isActing ? state.statuses : []),
    podwall_controller_pods: pods.filter(({ node }) => node !== '').length,
    podwall_controller_pods_selected: selected,
    podwall_controller_pods_programmed: programmed,
    podwall_controller_generations_wanted: wanted,
    podwall_controller_generations_realized: realized,
    podwall_controller_nodes: samples('state', countNodes(pods, state.reports)),
    podwall_controller_etcd_connected: Number(etcd.isConnected),
    podwall_controller_etcd_reconnects_total: etcd.reconnects,
    podwall_controller_etcd_keys: etcd.keys,
    podwall_controller_etcd_writes_total: samples('kind', { put: etcd.puts, delete: etcd.deletions }),
    podwall_controller_status_writes_total: state.statusWrites,
    podwall_controller_events_dropped_total: state.eventsDropped,
  };
}

const ruleCount = ({ kind, spec }: Rule): number =>
  kind === 'NetworkPolicy' ? networkPolicyRules(spec).length : (spec.egress ?? []).length + (spec.ingress ?? []).length;

function countPods({ isActing, compiled, generations, reports }: Picture) {
  const selected = new Set<string>();
  const behind = new Set<string>();
  let [wanted, realized] = [0, 0];
  for (const [uid, pods] of (isActing && compiled?.selected) || []) {
    const generation = generations.get(uid)?.generation;
    for (const pod of pods) {
      selected.add(pod.uid);
      wanted += 1;
      const seen = reports.workloads.get(pod.uid);
      // As in the status: an agent that does not report says nothing of what is in force.
      const isInForce =
        seen?.node === pod.node && reports.agents.has(pod.node) && seen.report.realized[uid] === generation;
      if (isInForce) realized += 1;
      else behind.add(pod.uid);
    }
  }
  return { selected: selected.size, programmed: selected.size - behind.size, wanted, realized };
}

function countConditions(statuses: readonly ResourceStatus[]) {
  return CONDITION_TYPES.flatMap((type) =>
    CONDITION_STATUSES.map((status) => ({
      labels: { type, status },
      value: statuses.filter(({ status: { conditions } }) =>
        conditions.some((condition) => condition.type === type && condition.status === status),
      ).length,
    })),
  );
}

function countNodes(pods: readonly Pod[], { agents }: Picture['reports']) {
  const nodes = new Set(pods.map(({ node }) => node).filter((node) => node !== ''));
  const counts = { reporting: 0, without_dp: 0, silent: 0 };
  for (const node of nodes) {
    const agent = agents.get(node);
    if (!agent) counts.silent += 1;
    else if (agent.dp === 'connected') counts.reporting += 1;
    else counts.without_dp += 1;
  }
  return counts;
}
