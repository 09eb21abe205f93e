import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keys, type PublishedResource } from '../api/keyspace.ts';
import type { Resource } from '../api/resources.ts';
import { at, compiled, groupsIn, namespace, networkPolicy, pod } from './test-cluster.ts';

const published = (spec: object): PublishedResource => at(compiled([networkPolicy('np', spec)]), keys.rules('np'));
const ingress = (...rules: object[]) => published({ ingress: rules }).rules;
const egress = (...rules: object[]) => published({ policyTypes: ['Egress'], egress: rules }).rules;

describe('a NetworkPolicy is published', () => {
  it('in the tier below rules, as one that denies what it does not allow', () => {
    assert.deepEqual(published({ podSelector: {} }), {
      ...{ uid: 'np', kind: 'NetworkPolicy', namespace: 'shop', name: 'np', generation: 1 },
      ...{ digest: published({ podSelector: {} }).digest, tier: 300, priority: 0, mode: 'Protect' },
      ...{ defaultAction: 'deny', directions: ['ingress'], rules: [] },
    });
  });

  const rules = { ingress: [{}], egress: [{}] };
  const directions: [what: string, spec: object, directions: string[]][] = [
    ['ingress without rules', {}, ['ingress']],
    ['ingress with an ingress rule', { ingress: [{}] }, ['ingress']],
    ['both with an egress rule', { egress: [{}] }, ['egress', 'ingress']],
    ['ingress alone where the list of egress rules is empty', { egress: [] }, ['ingress']],
    ['by its rules where policyTypes is empty', { policyTypes: [], egress: [{}] }, ['egress', 'ingress']],
    ['egress alone where policyTypes says so', { policyTypes: ['Egress'], ...rules }, ['egress']],
    ['ingress alone where policyTypes says so', { policyTypes: ['Ingress'], ...rules }, ['ingress']],
  ];
  for (const [what, spec, expected] of directions)
    it(`isolating ${what}, and with rules of no other direction`, () => {
      const { directions: isolated, rules: all } = published(spec);
      assert.deepEqual(isolated, expected);
      assert.ok(all.every(({ direction }) => expected.includes(direction)));
    });

  it('with rules that are named by their place', () => {
    assert.deepEqual(ingress({ ports: [{ port: 80 }] }, { from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }), [
      {
        ...{ name: 'ingress[0]', direction: 'ingress', from: 'nv.any', to: 'nv.workload' },
        ...{ ports: 'tcp/80', action: 'allow', applications: [] },
      },
      {
        ...{ name: 'ingress[1]', direction: 'ingress', from: 'nv.ip.10.0.0.0/8', to: 'nv.workload' },
        ...{ ports: 'any', action: 'allow', applications: [] },
      },
    ]);
  });

  const ports: [what: string, port: object, text: string][] = [
    ['a number is of TCP unless told', { port: 80 }, 'tcp/80'],
    ['a range has both ends', { protocol: 'UDP', port: 53, endPort: 80 }, 'udp/53-80'],
    ['SCTP is one of the protocols', { protocol: 'SCTP', port: 80 }, 'sctp/80'],
    ['no port is every port of the protocol', { protocol: 'UDP' }, 'udp/0-65535'],
    ['nothing is every port of TCP', {}, 'tcp/0-65535'],
    ['a name is of the protocol alone', { protocol: 'UDP', port: 'dns' }, 'udp/dns'],
  ];
  for (const [what, port, text] of ports)
    it(`with ports of which ${what}`, () => {
      assert.deepEqual(
        ingress({ ports: [port] }).map((rule) => rule.ports),
        [text],
      );
    });

  it('with an ipBlock without its exceptions, and with nothing where these are all of it', () => {
    const block = (cidr: string, ...except: string[]) => ({ ipBlock: { cidr, except } });
    const from = [block('10.0.0.0/24', '10.0.0.0/25'), block('10.1.0.0/24', '10.1.0.0/25', '10.1.0.128/25')];
    assert.deepEqual(
      ingress({ from }).map((rule) => rule.from),
      ['nv.ip.10.0.0.128-10.0.0.255'],
    );
  });
});

describe('a named port to send to', () => {
  const web = { containers: [{ ports: [{ name: 'web', containerPort: 8080 }] }] };
  const cluster: Resource[] = [
    namespace('shop', {}),
    pod('a', { app: 'a' }, { ips: ['10.0.0.1', 'fd00::1'], spec: web }),
    pod('b', { app: 'b' }, { ips: ['10.0.1.1'], namespace: 'other', spec: web }),
  ];
  const named = [{ port: 'web' }, { port: 53, protocol: 'UDP' }];
  const groupsFor = (rule: object) =>
    [...groupsIn(compiled([networkPolicy('np', { egress: [rule] }), ...cluster])).values()].sort();

  it('is one of the pods that have it, where every peer is allowed', () => {
    assert.deepEqual(groupsFor({ ports: named }), [['a', 'b']]);
    const [other, named53] = egress({ ports: named });
    assert.deepEqual([other?.to, other?.ports, named53?.ports], ['nv.any', 'udp/53', 'tcp/web']);
  });
  it('is one of the pods whose addresses are in the block, where the peer is one', () => {
    assert.deepEqual(groupsFor({ ports: named, to: [{ ipBlock: { cidr: '10.0.0.0/24' } }] }), [['a']]);
    assert.deepEqual(
      groupsFor({ ports: named, to: [{ ipBlock: { cidr: '10.0.0.0/24', except: ['10.0.0.1/32'] } }] }),
      [],
    );
  });
  it('needs no other pods to be known, where no port has a name', () => {
    assert.deepEqual(groupsFor({ ports: [{ port: 80 }], to: [{ ipBlock: { cidr: '10.0.0.0/24' } }] }), []);
  });
});

describe('who a pod is for a NetworkPolicy', () => {
  const members = (...others: Resource[]) => {
    const policy = networkPolicy('np', {
      podSelector: { matchLabels: { app: 'none' } },
      ingress: [{ from: [{ podSelector: {} }] }],
    });
    return [...groupsIn(compiled([policy, ...others])).values()].flat();
  };
  const deleted = { metadata: { deletionTimestamp: '2026-11-25T00:00:00Z' } };

  it('is its addresses as long as it runs, also while it terminates', () => {
    assert.deepEqual(members(pod('a', {}, { ips: ['10.0.0.1'], phase: 'Running', ...deleted })), ['a']);
  });
  for (const phase of ['Succeeded', 'Failed'])
    it(`is nobody once it has ${phase.toLowerCase()}: its addresses may be another’s`, () => {
      assert.deepEqual(members(pod('a', {}, { ips: ['10.0.0.1'], phase })), []);
    });
  it('is nobody on its node’s network', () => {
    assert.deepEqual(members(pod('a', {}, { ips: ['192.0.2.1'], spec: { hostNetwork: true } })), []);
  });
});

describe('a pod that changes', () => {
  const policies = Array.from({ length: 100 }, (_, i) =>
    networkPolicy(`np${i}`, {
      podSelector: { matchLabels: { app: `app${i}` } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: `app${i + 1}` } } }], ports: [{ port: 'web' }] }],
    }),
  );
  const others = Array.from({ length: 1000 }, (_, i) =>
    pod(`p${i}`, { app: `app${i % 100}` }, { ips: [`10.${i >> 8}.${i & 255}.1`] }),
  );
  const before = compiled([...policies, ...others, pod('x', { app: 'app3' }, { ips: ['10.9.0.1'] })]);
  const writes = (after: ReadonlyMap<string, string>) =>
    [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key)).length;

  const cases: [what: string, changed: Resource[], writes: number][] = [
    ['its label', [pod('x', { app: 'app4' }, { ips: ['10.9.0.1'] })], 3], // left one group, joined one, and its own key
    ['its address', [pod('x', { app: 'app3' }, { ips: ['10.9.0.2'] })], 1],
    [
      'a port’s name',
      [
        pod(
          'x',
          { app: 'app3' },
          { ips: ['10.9.0.1'], spec: { containers: [{ ports: [{ name: 'web', containerPort: 1 }] }] } },
        ),
      ],
      2,
    ],
    ['all by going away', [], 2],
  ];
  for (const [what, changed, count] of cases)
    it(`${what} changes ${count} keys, however many policies and pods there are`, () => {
      assert.equal(writes(compiled([...policies, ...others, ...changed])), count);
    });
});
