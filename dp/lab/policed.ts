// For tests: a lab whose dp was started, with the agent, another client and the workload's traffic, and a policy that tells them apart.
import { after, before } from 'node:test';
import { rule } from '../bpf/rules.ts';
import type { Agent } from './agent.ts';
import { CONTROL_RULES } from './commands.ts';
import type { DpProcess } from './dp-process.ts';
import { Lab } from './lab.ts';
import type { Traffic } from './traffic.ts';

/** Out to 7001, in to 7002, and what the lab itself needs. */
export const RULES = [
  ...CONTROL_RULES,
  rule({ id: 1001, ports: 'udp/7001' }),
  rule({ id: 1002, ports: 'udp/7002', direction: 'ingress' }),
];
/** What passes then: out to 7001 and 7002, in to these. */
export const AS_RULES = [true, false, false, true];
export const UNPOLICED = [true, true, true, true];

export type Policed = {
  readonly lab: Lab;
  readonly dp: DpProcess;
  readonly agent: Agent;
  readonly client: Agent;
  readonly traffic: Traffic;
};

/**
 * To be called at the top of a test file; what it answers is there once its tests run. `options`: of dp. `prepare`: what comes
 * before the first of them.
 */
export function policed(options: readonly string[], prepare?: (client: Agent) => Promise<void>): Policed {
  const lab = new Lab();
  after(() => lab[Symbol.asyncDispose]());
  const parts: Partial<Policed> = {};
  before(async () => {
    const dp = await lab.start(...options);
    const client = lab.client();
    Object.assign(parts, { dp, agent: lab.agent(), client, traffic: await lab.traffic() });
    await prepare?.(client);
  });
  const part = <Name extends keyof Policed>(name: Name): Policed[Name] => {
    const found = parts[name];
    if (!found) throw new Error(`${name}: the lab has not started yet`);
    return found;
  };
  return {
    lab,
    get dp() {
      return part('dp');
    },
    get agent() {
      return part('agent');
    },
    get client() {
      return part('client');
    },
    get traffic() {
      return part('traffic');
    },
  };
}
