// For tests: the commands about a lab’s workload.
import { rule } from '../bpf/rules.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { WORKLOAD } from './lab.ts';
import { CONTROL_PORT } from './traffic.ts';

const { mac, iface } = WORKLOAD;

export const ADD_MAC = { ctrl_add_mac: { iface, mac } };
export const DEL_MAC = { ctrl_del_mac: { iface, mac } };

/** What a lab’s own traffic needs. */
export const CONTROL_RULES: readonly PolicyRule[] = [
  rule({ id: 1, ports: `udp/${CONTROL_PORT}` }),
  rule({ id: 2, ports: `udp/${CONTROL_PORT}`, direction: 'ingress' }),
];

/** The whole policy in one batch, default deny in both directions, unless told otherwise. */
export const policy = (rules: readonly PolicyRule[], more: object = {}) => ({
  ctrl_cfg_policy: { cmd: 1, flag: 3, defact: 2, dir: 3, mac: [mac], rules, ...more },
});
