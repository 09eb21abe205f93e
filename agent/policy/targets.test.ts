import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PublishedResource, PublishedWorkload } from '@podwall/controller/api/keyspace.ts';
import type { Snapshot } from '../store/mirror.ts';
import type { LocalWorkload } from '../workloads/links.ts';
import { Targets, type WorkloadTarget } from './targets.ts';

const local = (name = 'checkout', mac = 'aa:bb:cc:dd:ee:01'): LocalWorkload => ({
  namespace: 'shop',
  name,
  link: { mac, ips: ['10.0.0.2'], hostInterface: { name: 'veth1', index: 7 } },
});

const resource: PublishedResource = {
  ...{ uid: 'r1', kind: 'NetworkRule', namespace: 'shop', name: 'checkout', generation: 4, tier: 200, priority: 100 },
  ...{ mode: 'Protect', defaultAction: 'deny', directions: ['egress'], rules: [] },
};
const published = (resources: readonly string[]): PublishedWorkload => ({
  ...{ uid: 'w1', namespace: 'shop', name: 'checkout', resources, ports: {} },
});
const snapshot = (workloads: readonly PublishedWorkload[], resources: readonly PublishedResource[]): Snapshot => ({
  workloads,
  resources: new Map(resources.map((each) => [each.uid, each])),
  groups: new Map(),
});

function update(targets: Targets, locals: readonly LocalWorkload[], now: Snapshot | undefined): WorkloadTarget {
  const [first] = targets.update(locals, { snapshot: now, nodeIps: [] }).targets;
  assert(first);
  return first;
}

const WITH_RULE = snapshot([published(['r1'])], [resource]);

describe('the target of a workload', () => {
  it('has no policy before etcd speaks of the workload, which is not the same as none that selects it', () => {
    const targets = new Targets();
    assert.equal(update(targets, [local()], undefined).target.computed, undefined);
    assert.equal(update(targets, [local()], snapshot([], [])).target.computed, undefined);
    const selectedByNone = update(targets, [local()], snapshot([published([])], []));
    assert.deepEqual([selectedByNone.uid, selectedByNone.target.computed?.policy], ['w1', undefined]);
    assert.notEqual(selectedByNone.target.computed, undefined);
  });

  const gaps: [string, Snapshot][] = [
    ['its key is gone', snapshot([], [])],
    ['its key names rules that are not there', snapshot([published(['r1', 'r2'])], [resource])],
    ['all rules are gone', snapshot([published(['r1'])], [])],
  ];
  for (const [what, gap] of gaps)
    it(`keeps its policy while ${what}, says so, and takes the next whole state`, () => {
      const targets = new Targets();
      const workload = local();
      const before = update(targets, [workload], WITH_RULE);
      const during = update(targets, [workload], gap);
      assert.equal(during.target.computed, before.target.computed);
      assert.match(during.waiting ?? '', /^the controller has not published/);
      const after = update(targets, [workload], snapshot([published([])], []));
      assert.deepEqual([after.target.computed?.policy, after.waiting], [undefined, undefined]);
    });

  it('is the same object while nothing that it depends on changed', () => {
    const targets = new Targets();
    const workload = local();
    const before = update(targets, [workload], WITH_RULE);
    const { resources, workloads } = WITH_RULE;
    assert.equal(update(targets, [workload], { resources, workloads, groups: new Map() }).target, before.target);
    assert.notEqual(update(targets, [local()], WITH_RULE).target, before.target);
  });

  it('is by uid where the workload has one, else by name', () => {
    const find = (uid?: string): unknown => {
      const workload = { ...local(), ...(uid !== undefined && { uid }) };
      return update(new Targets(), [workload], WITH_RULE).target.computed?.generations;
    };
    assert.deepEqual([find(), find('w1'), find('w2')], [{ r1: 4 }, { r1: 4 }, undefined]);
  });

  it('is missing for a second workload with the same MAC address, in words', () => {
    const { targets, problems } = new Targets().update([local(), local('twin')], {
      snapshot: WITH_RULE,
      nodeIps: [],
    });
    assert.deepEqual(
      targets.map(({ target }) => target.name),
      ['shop/checkout'],
    );
    assert.deepEqual(problems, ['shop/twin has the MAC address of shop/checkout and is not policed']);
  });
});
