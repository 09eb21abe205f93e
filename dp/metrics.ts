// What dp's metrics are, and their values from its state. Pure.
import { type Definitions, type Readings, samples } from '@podwall/metrics/definition.ts';
import { counter as COUNTER, reason as REASON } from './kernel/abi.gen.ts';
import { NO_POLICY } from './kernel/slots.ts';
import type { Workload } from './policy/workload.ts';
import { ACTION } from './protocol/values.ts';

/** As a rule's status calls them. */
const ACTIONS = { allow: ACTION.open, deny: ACTION.deny, learn: ACTION.learn, violate: ACTION.violate } as const;
const REASONS = {
  policy: REASON.policy,
  spoofed_mac: REASON.spoofedMac,
  spoofed_address: REASON.spoofedAddress,
  invalid_packet: REASON.invalidPacket,
  unsupported_protocol: REASON.unsupportedProtocol,
  orphan_fragment: REASON.orphanFragment,
  stray_icmp_error: REASON.strayIcmpError,
} as const;
type ActionName = keyof typeof ACTIONS;
type ReasonName = keyof typeof REASONS;
const ACTION_NAMES = Object.keys(ACTIONS) as readonly ActionName[]; // a const object has no other keys
const REASON_NAMES = Object.keys(REASONS) as readonly ReasonName[]; // as above
/** Who decided: the kernel programs, or dp itself for a netfilter queue. */
const DECIDERS = ['kernel', 'queue'] as const;

export const DP_METRICS = {
  podwall_dp_workloads: {
    type: 'gauge',
    help: 'Workloads that dp was told of: policed ones have a policy in force.',
    labels: { state: ['policed', 'unpoliced'] },
  },
  podwall_dp_rules: {
    type: 'gauge',
    help: 'Rules in the policies in force, over all workloads; those of before dp started count once they were sent again.',
  },
  podwall_dp_policies: {
    type: 'gauge',
    help: 'Different policies in force: workloads with the same share one.',
  },
  podwall_dp_policies_limit: { type: 'gauge', help: 'Different policies that there is room for.' },
  podwall_dp_enforcing: {
    type: 'gauge',
    help: '1; 0 while policies are off on the whole node (ctrl_sys_conf) and nothing is dropped.',
  },
  podwall_dp_names: { type: 'gauge', help: 'Domain names that rules are for or whose addresses dp was told.' },
  podwall_dp_verdicts_total: {
    type: 'counter',
    help: 'Decisions on connections in a policed direction: one at its first packet, one more where it turns.',
    labels: { action: ACTION_NAMES, by: DECIDERS },
  },
  podwall_dp_dropped_packets_total: {
    type: 'counter',
    help: 'Packets dropped, but for later fragments of a packet whose first was.',
    labels: { reason: REASON_NAMES, by: DECIDERS },
  },
  podwall_dp_flows: { type: 'gauge', help: 'Connections in the kernel’s table, as of some seconds ago.' },
  podwall_dp_flows_limit: { type: 'gauge', help: 'Connections that the table has room for (--flows).' },
  podwall_dp_events_lost_total: {
    type: 'counter',
    help: 'Reports of dropped or violating packets that the kernel had no room for; the packets are counted all the same.',
  },
  podwall_dp_hits_lost_total: { type: 'counter', help: 'Hits of rules that the kernel had no room to count.' },
  podwall_dp_flows_lost_total: { type: 'counter', help: 'Connections that the kernel’s table did not take.' },
  podwall_dp_reports_total: { type: 'counter', help: 'Reports made for the agent.' },
  podwall_dp_reports_lost_total: {
    type: 'counter',
    help: 'Reports thrown away by dp: the agent did not read them, or there were too many at once.',
  },
  podwall_dp_reports_waiting: { type: 'gauge', help: 'Reports that wait for the agent to read.' },
} as const satisfies Definitions;

export type DpState = {
  readonly workloads: readonly Pick<Workload, 'state' | 'policy'>[];
  readonly isEnforcing: boolean;
  readonly names: number;
  /** A counter of the kernel programs by its index: `counter` of abi.h. */
  readonly counter: (index: number) => number;
  /** What dp itself decided on: by action, and by reason. */
  readonly queued: {
    readonly verdicts: ReadonlyMap<number, number>;
    readonly drops: ReadonlyMap<number, number>;
  };
  readonly flows: number;
  readonly flowRoom: number;
  readonly policyRoom: number;
  readonly reports: { readonly given: number; readonly waiting: number; readonly lost: number };
};

export function readDp(state: DpState): Readings<typeof DP_METRICS> {
  const { workloads, counter, queued, reports } = state;
  const policed = workloads.filter((workload) => workload.state.policy !== NO_POLICY);
  return {
    podwall_dp_workloads: samples('state', {
      policed: policed.length,
      unpoliced: workloads.length - policed.length,
    }),
    podwall_dp_rules: policed.reduce((sum, { policy }) => sum + (policy?.size ?? 0), 0),
    podwall_dp_policies: new Set(policed.map((workload) => workload.state.policy)).size,
    podwall_dp_policies_limit: state.policyRoom,
    podwall_dp_enforcing: Number(state.isEnforcing),
    podwall_dp_names: state.names,
    podwall_dp_verdicts_total: ACTION_NAMES.flatMap((action) => [
      { labels: { action, by: 'kernel' as const }, value: counter(COUNTER.verdicts + ACTIONS[action]) },
      { labels: { action, by: 'queue' as const }, value: queued.verdicts.get(ACTIONS[action]) ?? 0 },
    ]),
    podwall_dp_dropped_packets_total: REASON_NAMES.flatMap((reason) => [
      { labels: { reason, by: 'kernel' as const }, value: counter(COUNTER.drops + REASONS[reason]) },
      { labels: { reason, by: 'queue' as const }, value: queued.drops.get(REASONS[reason]) ?? 0 },
    ]),
    podwall_dp_flows: state.flows,
    podwall_dp_flows_limit: state.flowRoom,
    podwall_dp_events_lost_total: counter(COUNTER.eventsLost),
    podwall_dp_hits_lost_total: counter(COUNTER.hitsLost),
    podwall_dp_flows_lost_total: counter(COUNTER.flowsLost),
    podwall_dp_reports_total: reports.given,
    podwall_dp_reports_lost_total: reports.lost,
    podwall_dp_reports_waiting: reports.waiting,
  };
}
