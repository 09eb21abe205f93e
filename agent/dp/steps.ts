// What dp is still to be told of a workload, given what it was told on this connection. Pure.
import type { ComputedPolicy } from '../policy/policy.ts';
import { command, policyBatches, removePolicy } from './batches.ts';

export type Target = {
  /** namespace/name, for logs. */
  readonly name: string;
  readonly mac: string;
  readonly ips: readonly string[];
  readonly hostInterface: { readonly name: string; readonly index: number };
  /** Absent: what is wanted is not known (yet), and what is in force stays. */
  readonly computed?: ComputedPolicy;
};

/** What dp was told of a workload since the connection was made; all absent: nothing. */
export type Told = { readonly registration?: string; readonly tap?: boolean; readonly policy?: string };

export type Steps = {
  readonly datagrams: readonly Buffer[];
  /** What dp was told once these are sent. */
  readonly told: Told;
  /** dp is to confirm a policy of so many rules; absent where none is among the steps. */
  readonly awaitedRules?: number;
};

/** What tells dp of the workload’s interface and addresses. */
export function registrationFor({ mac, ips, hostInterface }: Target, told: Told): Steps {
  const registration = JSON.stringify([hostInterface, ips]);
  if (registration === told.registration) return { datagrams: [], told };
  const pips = ips.map((ip) => ({ ip }));
  const datagrams = [command('ctrl_add_mac', { iface: hostInterface.name, mac, pips })];
  return { datagrams, told: { ...told, registration } };
}

/** For a workload that is registered: whether anything is dropped at all, then the policy. */
export function enforcementFor({ mac, computed }: Target, told: Told): Steps {
  if (!computed) return { datagrams: [], told };
  const datagrams: Buffer[] = [];
  if (computed.policy && computed.tap !== told.tap)
    datagrams.push(command('ctrl_cfg_mac', { macs: [mac], tap: computed.tap }));
  const policy = policyText(computed);
  const isNews = policy !== told.policy;
  if (isNews) datagrams.push(...(computed.policy ? policyBatches(computed.policy) : [removePolicy(mac)]));
  return {
    datagrams,
    told: { ...told, policy, ...(computed.policy && { tap: computed.tap }) },
    ...(isNews && { awaitedRules: computed.policy?.policy_rules.length ?? 0 }),
  };
}

/** Equal for policies that are the same to dp. */
const policyText = ({ policy }: ComputedPolicy): string => JSON.stringify(policy ?? null);
