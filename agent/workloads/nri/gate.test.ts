import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WorkloadTarget } from '../../policy/targets.ts';
import { type Progress, readiness } from '../readiness.ts';
import type { SandboxPod } from '../sandbox.ts';
import { type GatePolicy, isHeld, refusalOf } from './gate.ts';

const pod: SandboxPod = { sandbox: 's', uid: 'u', namespace: 'shop', name: 'web', netns: { path: '/n' } };
const hostPod: SandboxPod = { sandbox: 's', uid: 'u', namespace: 'shop', name: 'web' };
const hold: GatePolicy = { startup: 'hold', exemptNamespaces: ['kube-system'] };
const allow: GatePolicy = { ...hold, startup: 'allow' };

const target = { name: 'shop/web', mac: '02:00:00:00:00:01', ips: [], hostInterface: { name: 'v', index: 1 } };
const link = { mac: target.mac, ips: [], hostInterface: target.hostInterface };
const computed = { problems: [], generations: {}, fqdns: [], tap: false, rules: new Map() };
const policed = (waiting?: string): WorkloadTarget => ({
  local: { namespace: 'shop', name: 'web', uid: 'u', link },
  uid: 'u',
  target: waiting === undefined ? { ...target, computed: computed as never } : target, // of no concern here
  ...(waiting !== undefined && { waiting }),
});
const base: Progress = {
  ...{ absence: undefined, policed: policed(), enforced: {}, isDpConnected: true, isStoreConnected: true },
};
const inForce = { inForce: computed as never };

/** Answers of RunPodSandbox and CreateContainer under "hold"; under "allow", no container is ever refused. */
const cases: [string, Progress, SandboxPod, 'waits' | 'goes', RegExp | 'made'][] = [
  ['its policy is realized', { ...base, enforced: inForce }, pod, 'goes', 'made'],
  ['dp has not confirmed yet', base, pod, 'waits', /^podwall: no policy is in force yet for shop\/web, .*: dp has not/],
  ['dp refused it', { ...base, enforced: { error: 'table full' } }, pod, 'waits', /table full$/],
  ['dp is down', { ...base, isDpConnected: false }, pod, 'goes', /dp does not answer on this node$/],
  ['dp is down, but its policy is in force', { ...base, isDpConnected: false, enforced: inForce }, pod, 'goes', 'made'],
  ['the controller has no key for it yet', { ...base, policed: policed('not published') }, pod, 'waits', /published$/],
  [
    'etcd is away, and there was no key yet',
    { ...base, policed: policed('not published'), isStoreConnected: false },
    ...([pod, 'goes', /published$/] as const),
  ],
  [
    'its next policy waits, the one before is in force',
    { ...base, policed: policed('x'), enforced: inForce },
    ...([pod, 'goes', 'made'] as const),
  ],
  [
    'it is unknown at CreateContainer',
    { ...base, policed: undefined },
    pod,
    'waits',
    /does not know its interface yet$/,
  ],
  [
    'its interface is not there yet',
    { ...base, policed: undefined, absence: { kind: 'awaited', reason: 'no eth0' } },
    ...([pod, 'waits', /no eth0$/] as const),
  ],
  [
    'it has no veth: it starts, and status names it',
    { ...base, policed: undefined, absence: { kind: 'unusable', reason: 'NO_HOST_SIDE' } },
    ...([pod, 'goes', 'made'] as const),
  ],
  ['it is on the node’s network', { ...base, policed: undefined }, hostPod, 'goes', 'made'],
  ['its namespace is exempt', base, { ...pod, namespace: 'kube-system' }, 'goes', 'made'],
];

describe('a pod that starts', () => {
  for (const [when, progress, of, start, container] of cases)
    it(`${start}, and its container is ${container === 'made' ? 'made' : 'refused'}, where ${when}`, () => {
      const is = readiness(progress);
      assert.equal(isHeld(of, is, hold), start === 'waits');
      assert.equal(isHeld(of, is, allow), start === 'waits');
      const refusal = refusalOf(of, is, hold);
      if (container === 'made') assert.equal(refusal, undefined);
      else assert.match(refusal ?? '', container);
      assert.equal(refusalOf(of, is, allow), undefined);
    });
});
