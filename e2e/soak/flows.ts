// The flows of a workload in the soak, and the rules that decide on them. Pure.
import { rule } from '../../dp/bpf/rules.ts';
import type { PolicyRule } from '../../dp/protocol/commands.ts';
import { ACTION } from '../../dp/protocol/values.ts';
import type { Verdict } from './probe.ts';

/** On the node's loopback: the peer of all workloads. */
export const PEER_IP = '10.98.0.1';
/** And the address of a workload's own name: one address can have a few names only. */
export const namedIp = (workload: number): string => `10.98.1.${workload}`;

/** One flow for the whole run: who sends first, from which port of the workload, to or from which of the peer. */
export type LongFlow = {
  readonly opener: 'workload' | 'peer';
  readonly workloadPort: number;
  readonly peerPort: number;
  readonly rule: number;
};

export const LONG_FLOWS = {
  steady: { opener: 'workload', workloadPort: 5001, peerPort: 6001, rule: 1001 },
  inbound: { opener: 'peer', workloadPort: 5002, peerPort: 6002, rule: 1002 },
  named: { opener: 'workload', workloadPort: 5003, peerPort: 6003, rule: 1003 },
  probe: { opener: 'workload', workloadPort: 5004, peerPort: 6004, rule: 1004 },
  denied: { opener: 'workload', workloadPort: 5005, peerPort: 6005, rule: 1005 },
  deniedInbound: { opener: 'peer', workloadPort: 5006, peerPort: 6006, rule: 1006 },
} as const satisfies Readonly<Record<string, LongFlow>>;
export type LongFlowName = keyof typeof LONG_FLOWS;
export const LONG_FLOW_NAMES = Object.keys(LONG_FLOWS) as LongFlowName[]; // the keys of a const object are its type's

/** A new flow for each datagram, from a port of its own. */
export type ShortFlow = {
  readonly peerPort: number;
  readonly rule: number;
  readonly expectation: 'passes' | 'dropped';
};

export const SHORT_FLOWS = {
  newAllowed: { peerPort: 6010, rule: 1010, expectation: 'passes' },
  newDenied: { peerPort: 6011, rule: 1011, expectation: 'dropped' },
  newUnmatched: { peerPort: 6012, rule: 0, expectation: 'dropped' },
} as const satisfies Readonly<Record<string, ShortFlow>>;
export type ShortFlowName = keyof typeof SHORT_FLOWS;
export const SHORT_FLOW_NAMES = Object.keys(SHORT_FLOWS) as ShortFlowName[]; // the keys of a const object are its type's

/** A TCP connection for the whole run, of lines that are echoed. */
export const CONNECTION = { peerPort: 7001, rule: 1020 } as const;

export type FlowName = LongFlowName | ShortFlowName | 'connection';

/** The address of the peer's end. */
export const peerIpOf = (flow: FlowName, workload: number): string => (flow === 'named' ? namedIp(workload) : PEER_IP);

export const nameOf = (workload: number): string => `workload-${workload}.soak.test`;

export const isDenied = (flow: FlowName): boolean =>
  flow === 'denied' || flow === 'deniedInbound' || flow === 'newDenied' || flow === 'newUnmatched';

/** The rules that every policy of this workload has; the rest may change at any time. */
export function fixedRules(workload: number, probe: Verdict): PolicyRule[] {
  const actions: Partial<Record<LongFlowName, PolicyRule['action']>> = {
    denied: ACTION.deny,
    deniedInbound: ACTION.deny,
    probe: probe === 'open' ? ACTION.open : ACTION.deny,
  };
  const long = LONG_FLOW_NAMES.map((name) => {
    const { opener, workloadPort, peerPort, rule: id } = LONG_FLOWS[name];
    const isIngress = opener === 'peer';
    return rule({
      id,
      direction: isIngress ? 'ingress' : 'egress',
      peer: name === 'named' ? `fqdn:${nameOf(workload)}` : PEER_IP,
      ports: `udp/${isIngress ? workloadPort : peerPort}`,
      action: actions[name] ?? ACTION.open,
    });
  });
  return [
    ...long,
    rule({ id: SHORT_FLOWS.newAllowed.rule, peer: PEER_IP, ports: `udp/${SHORT_FLOWS.newAllowed.peerPort}` }),
    rule({
      id: SHORT_FLOWS.newDenied.rule,
      peer: PEER_IP,
      ports: `udp/${SHORT_FLOWS.newDenied.peerPort}`,
      action: ACTION.deny,
    }),
    rule({ id: CONNECTION.rule, peer: PEER_IP, ports: `tcp/${CONNECTION.peerPort}` }),
  ];
}
