import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PublishedResource, PublishedRule } from '../api/keyspace.ts';
import { findFlaws } from './flaws.ts';

const sql = { sql: [{ protocol: 'tcp', port: 3306 }] } as const;

const flaws = (rule: Partial<PublishedRule>, selected: object[], members: object[] = []): string[] => {
  const base = { name: 'a', action: 'allow', applications: [], from: 'nv.workload', to: 'nv.workload' } as const;
  const full = { ...base, direction: 'ingress', ports: 'any', ...rule } as const;
  const resource: PublishedResource = {
    ...{ uid: 'r', kind: 'NetworkRule', namespace: 'shop', name: 'r', generation: 1, tier: 200, priority: 1 },
    ...{ mode: 'Protect', defaultAction: 'deny', directions: ['ingress'], rules: [full] },
  };
  const groups = members.map((ports) => ({ ips: ['10.0.0.1'], ports: { ...ports } }));
  return findFlaws(
    resource,
    selected.map((ports) => ({ ...ports })),
    () => groups,
  );
};

describe('the name of a container port', () => {
  const egress = { direction: 'egress', to: 'nv.group.h', ports: 'sql,tcp/80' } as const;
  const cases: [what: string, rule: Partial<PublishedRule>, selected: object[], members: object[], count: number][] = [
    ['on ingress is known if a selected pod has it', { ports: 'sql' }, [{}, sql], [], 0],
    ['on ingress is unknown if none has it', { ports: 'sql' }, [{}, {}], [sql], 1],
    ['on egress is known if a member of the group has it', egress, [], [sql, {}], 0],
    ['on egress is unknown if none has it', egress, [sql], [{}], 1],
    ['is not wrong yet while there is no pod', { ports: 'sql' }, [], [], 0],
    ['is not what a number or protocol is', { ports: 'tcp/80,udp/1-2,icmp,any' }, [{}], [], 0],
  ];
  for (const [what, rule, selected, members, count] of cases) {
    it(what, () => assert.equal(flaws(rule, selected, members).length, count));
  }
});
