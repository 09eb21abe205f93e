// What is in force for a workload after a series of commands, worked out apart from dp. Pure.
import type { InForce } from '../bpf/comparison.ts';
import { NAMES } from '../bpf/rule-sets.ts';
import { changePolicy, type Policy } from '../policy/policy.ts';
import type { Command } from '../protocol/commands.ts';

/** A command that changes what is decided. The workload that a policy is for is filled in when it is carried out. */
export type Step = Extract<Command, { name: 'ctrl_cfg_policy' | 'ctrl_cfg_set_fqdn' | 'ctrl_cfg_del_fqdn' }>;
export type PolicyStep = Extract<Step, { name: 'ctrl_cfg_policy' }>;

export type Situation = {
  readonly policy: Policy | undefined;
  /** Addresses by name. */
  readonly names: ReadonlyMap<string, readonly string[]>;
};

export const AT_FIRST: Situation = {
  policy: undefined,
  names: new Map(NAMES.map(({ name, addresses }) => [name, addresses])),
};

/** Throws CommandError where a policy contradicts itself. */
export function after({ policy, names }: Situation, step: Step): Situation {
  switch (step.name) {
    case 'ctrl_cfg_policy':
      return { policy: changePolicy(policy, { ...step.body, rules: step.body.rules ?? [] }), names };
    case 'ctrl_cfg_set_fqdn':
      return { policy, names: new Map(names).set(step.body.fqdn_name, step.body.fqdn_ips ?? []) };
    case 'ctrl_cfg_del_fqdn': {
      const gone = new Set(step.body.names);
      return { policy, names: new Map([...names].filter(([name]) => !gone.has(name))) };
    }
  }
}

/** The same, as connections are judged by. */
export function inForce({ policy, names }: Situation): InForce {
  const pairs = [...names].flatMap(([name, addresses]) => addresses.map((address) => ({ name, address })));
  const byAddress = Map.groupBy(pairs, ({ address }) => address);
  return { policy, namesOf: (address) => (byAddress.get(address) ?? []).map(({ name }) => name) };
}

/** The commands that lead from one table of names to another. First all goes that is to go: an address has few names at most. */
export function namesBetween(from: Situation['names'], to: Situation['names']): Step[] {
  const gone = [...from].filter(([name, addresses]) => to.get(name)?.join() !== addresses.join()).map(([name]) => name);
  const others = [...to].filter(([name, addresses]) => from.get(name)?.join() !== addresses.join());
  return [
    ...(gone.length > 0 ? [{ name: 'ctrl_cfg_del_fqdn', body: { names: gone } } as const] : []),
    ...others.map(
      ([fqdn_name, addresses]): Step => ({
        name: 'ctrl_cfg_set_fqdn',
        body: { fqdn_name, fqdn_ips: [...addresses] },
      }),
    ),
  ];
}
