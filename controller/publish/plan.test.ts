import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keys, type PublishedResource, type PublishedRule } from '../api/keyspace.ts';
import { planWrites } from './plan.ts';
import { withholdRemovals } from './withhold.ts';

const held = (entries: Readonly<Record<string, string>>) =>
  new Map(Object.entries(entries).map(([key, value]) => [key, { value }]));
const wanted = (entries: Readonly<Record<string, string>>) => new Map(Object.entries(entries));
const brief = (batches: ReturnType<typeof planWrites>) => batches.flat().map(({ kind, key }) => `${kind} ${key}`);

const GROUP = keys.groupMember('h', 'p');
const RULES = keys.rules('r');
const WORKLOAD = keys.workload('n1', 'p');

describe('what is written to etcd', () => {
  const cases: [what: string, desired: Record<string, string>, held: Record<string, string>, operations: string[]][] = [
    ['is nothing where all is as desired', { [RULES]: '1' }, { [RULES]: '1' }, []],
    ['is only what differs', { [RULES]: '1', [GROUP]: '2' }, { [RULES]: '1', [GROUP]: '1' }, [`put ${GROUP}`]],
    [
      'puts groups and rules before the workloads that name them',
      { [WORKLOAD]: '1', [RULES]: '1', [GROUP]: '1' },
      {},
      [`put ${GROUP}`, `put ${RULES}`, `put ${WORKLOAD}`],
    ],
    [
      'deletes last, and workloads first',
      {},
      { [RULES]: '1', [GROUP]: '1', [WORKLOAD]: '1' },
      [`delete ${WORKLOAD}`, `delete ${RULES}`, `delete ${GROUP}`],
    ],
    ['leaves alone what agents report', {}, { [keys.agentReport('n1')]: '1', '/podwall/v1/other': '1' }, []],
  ];
  for (const [what, desired, before, operations] of cases) {
    it(what, () => assert.deepEqual(brief(planWrites(wanted(desired), held(before))), operations));
  }

  it('comes in transactions that etcd takes', () => {
    const many = Object.fromEntries(Array.from({ length: 250 }, (_, index) => [keys.rules(`r${index}`), 'x']));
    assert.deepEqual(
      planWrites(wanted(many), held({})).map((batch) => batch.length),
      [100, 100, 50],
    );
    const large = Object.fromEntries(
      Array.from({ length: 5 }, (_, index) => [keys.rules(`r${index}`), 'x'.repeat(400_000)]),
    );
    assert.deepEqual(
      planWrites(wanted(large), held({})).map((batch) => batch.length),
      [2, 2, 1],
    );
  });
});

const RULE: Omit<PublishedRule, 'to'> = {
  ...{ name: 'a', direction: 'egress', from: 'nv.workload', ports: 'any', action: 'allow', applications: [] },
};

const resource = (uid: string, priority: number, ...peers: string[]): string => {
  const published: PublishedResource = {
    ...{ uid, kind: 'NetworkRule', namespace: 'shop', name: uid, generation: 1, tier: 200, priority },
    ...{ mode: 'Protect', defaultAction: 'deny', directions: ['egress'] },
    rules: peers.map((to) => ({ ...RULE, to })),
  };
  return JSON.stringify(published);
};
const workload = (...resources: string[]) =>
  JSON.stringify({ uid: 'p', namespace: 'shop', name: 'p', resources, ports: {} });

describe('while a file could never be read', () => {
  it('nothing is deleted', () => {
    const before = { [keys.rules('lost')]: resource('lost', 1), [GROUP]: '1', [WORKLOAD]: workload('lost') };
    const desired = { [RULES]: resource('r', 2) };
    assert.deepEqual(brief(planWrites(withholdRemovals(wanted(desired), held(before), 'unknown'), held(before))), [
      `put ${RULES}`,
    ]);
  });
  it('a workload keeps what it has, beside what it gets, in their order', () => {
    const before = { [keys.rules('lost')]: resource('lost', 1), [WORKLOAD]: workload('lost') };
    const desired = { [RULES]: resource('r', 2), [WORKLOAD]: workload('r') };
    assert.equal(withholdRemovals(wanted(desired), held(before), 'unknown').get(WORKLOAD), workload('lost', 'r'));
  });
  it('what is declared changes all the same', () => {
    const before = { [RULES]: resource('r', 1) };
    const desired = { [RULES]: resource('r', 2) };
    assert.equal(withholdRemovals(wanted(desired), held(before), 'unknown').get(RULES), resource('r', 2));
  });
});

describe('while one resource could never be read', () => {
  const unread = new Set(['lost']);
  const desired = { [RULES]: resource('r', 2), [WORKLOAD]: workload('r') };
  const before = {
    [keys.rules('lost')]: resource('lost', 1, 'nv.group.own', 'nv.group.h'),
    [keys.rules('gone')]: resource('gone', 1),
    [keys.groupMember('own', 'p')]: '1',
    [keys.groupMember('h', 'q')]: '1',
    [keys.groupMember('other', 'p')]: '1',
    [WORKLOAD]: workload('gone', 'lost'),
    [keys.workload('n1', 'ended')]: workload('lost'),
  };
  const kept = withholdRemovals(wanted({ ...desired, [GROUP]: '2' }), held(before), unread);

  it('it stays, with the groups that only it names, where it was in force', () => {
    assert.deepEqual(
      [...kept.keys()].sort(),
      [RULES, WORKLOAD, GROUP, keys.rules('lost'), keys.groupMember('own', 'p')].sort(),
    );
    assert.equal(kept.get(WORKLOAD), workload('lost', 'r'));
  });
  it('all else is withdrawn, also a member of a group that others name too', () => {
    for (const key of [keys.rules('gone'), keys.groupMember('other', 'p'), keys.groupMember('h', 'q')]) {
      assert.ok(!kept.has(key), key);
    }
    assert.ok(!kept.has(keys.workload('n1', 'ended')));
  });
});
