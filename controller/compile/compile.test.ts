import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keys, type PublishedResource, type PublishedRule } from '../api/keyspace.ts';
import type { Resource } from '../api/resources.ts';
import { planWrites } from '../publish/plan.ts';
import { declare, NOTHING_UNREAD } from '../sources/declared.ts';
import { countGenerations } from './generations.ts';
import { API, at, clusterRule, compiled, namespace, node, pod, resource, rule } from './test-cluster.ts';

const published = (resources: Resource[], uid: string): PublishedResource => at(compiled(resources), keys.rules(uid));
const rulesOf = (spec: object): readonly PublishedRule[] => published([rule('r', spec)], 'r').rules;
const peersOf = (...to: object[]) => rulesOf({ egress: [{ name: 'a', action: 'Allow', to }] }).map((entry) => entry.to);

/** The names of a group's members, by the only group that a rule with this peer has. */
function membersOf(peer: object, others: Resource[], reported: Record<string, string[]> = {}, owner = rule): string[] {
  const entries = compiled(
    [
      owner('r', { selector: { matchLabels: { app: 'none' } }, egress: [{ name: 'a', action: 'Allow', to: [peer] }] }),
      ...others,
    ],
    reported,
  );
  return [...entries.keys()]
    .filter((key) => key.startsWith(keys.groupsPrefix))
    .map((key) => key.split('/').at(-1) ?? '')
    .sort();
}

describe('a rule is published in the form of the reference', () => {
  it('for what is sent and for what is received', () => {
    const rules = rulesOf({
      egress: [
        {
          name: 'api',
          action: 'Allow',
          to: [{ fqdn: 'API.GitHub.com.' }],
          ports: ['tcp/443', 'udp/443'],
          applications: ['HTTP'],
        },
      ],
      ingress: [{ name: 'web', action: 'Deny', from: [{ ip: '192.168.1.10' }] }],
    });
    assert.deepEqual(rules, [
      {
        name: 'api',
        direction: 'egress',
        from: 'nv.workload',
        to: 'nv.fqdn.api.github.com',
        ports: 'tcp/443,udp/443',
        action: 'allow',
        applications: ['HTTP'],
      },
      {
        name: 'web',
        direction: 'ingress',
        from: 'nv.ip.192.168.1.10',
        to: 'nv.workload',
        ports: 'any',
        action: 'deny',
        applications: [],
      },
    ]);
  });

  const peers: [what: string, peers: object[], to: string[]][] = [
    ['no peer is any', [], ['nv.any']],
    ['any is any', [{ any: true }], ['nv.any']],
    [
      'several peers are several entries',
      [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }],
      ['nv.ip.10.0.0.1', 'nv.ip.10.0.0.2'],
    ],
    ['an address is in its shortest form', [{ ip: '2001:DB8:0::1' }], ['nv.ip.2001:db8::1']],
    ['a range has both ends', [{ ipRange: '10.0.0.1-10.0.0.9' }], ['nv.ip.10.0.0.1-10.0.0.9']],
    ['a range of one is an address', [{ ipRange: '10.0.0.1-10.0.0.1' }], ['nv.ip.10.0.0.1']],
    ['a network is named by its first address', [{ cidr: '10.1.2.3/8' }], ['nv.ip.10.0.0.0/8']],
    [
      'a network with a hole is ranges',
      [{ cidr: '10.0.0.0/24', except: ['10.0.0.64/26', '10.0.0.255/32'] }],
      ['nv.ip.10.0.0.0-10.0.0.63', 'nv.ip.10.0.0.128-10.0.0.254'],
    ],
    ['a network that is all hole is nothing, never any', [{ cidr: '10.0.0.0/24', except: ['10.0.0.0/24'] }], []],
    ['a wildcard stays one', [{ fqdn: '*.Example.com' }], ['nv.fqdn.*.example.com']],
  ];
  for (const [what, list, to] of peers) it(what, () => assert.deepEqual(peersOf(...list), to));

  it('a vhost is marked', () => {
    const rules = rulesOf({
      egress: [{ name: 'a', action: 'Allow', to: [{ fqdn: 'a.example', vhost: true }, { fqdn: 'b.example' }] }],
    });
    assert.deepEqual(
      rules.map(({ vhost }) => vhost),
      [true, undefined],
    );
  });

  const directions: [what: string, spec: object, directions: string[]][] = [
    ['only what is sent', { egress: [] }, ['egress']],
    ['only what is received', { ingress: [{ name: 'a', action: 'Allow' }] }, ['ingress']],
    ['both where it names none', {}, ['egress', 'ingress']],
  ];
  for (const [what, spec, expected] of directions) {
    it(`it polices ${what}`, () => assert.deepEqual(published([rule('r', spec)], 'r').directions, expected));
  }
});

describe('a group has for members', () => {
  const shop = pod('shop-web', { app: 'web' }, { ips: ['10.0.0.1', 'fd00::1'] });
  const other = pod('other-web', { app: 'web' }, { namespace: 'other', ips: ['10.0.0.2'] });
  const db = pod('shop-db', { app: 'db' }, { ips: ['10.0.0.3'] });
  const all = [
    shop,
    other,
    db,
    namespace('other', { team: 'b' }),
    node('n1', '192.0.2.1', 'n1.example'),
    node('n2', '192.0.2.2'),
  ];
  const web = { podSelector: { matchLabels: { app: 'web' } } };
  const cases: [what: string, peer: object, members: string[]][] = [
    ['the pods selected in its own namespace', web, ['shop-web']],
    ['the pods selected in every namespace', { ...web, namespaceSelector: {} }, ['other-web', 'shop-web']],
    ['the pods of namespaces by their labels', { namespaceSelector: { matchLabels: { team: 'b' } } }, ['other-web']],
    [
      'the pods of a namespace by its name, with or without a manifest',
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } },
      ['shop-db', 'shop-web'],
    ],
    [
      'pods by expressions',
      { podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] } },
      ['shop-db'],
    ],
    ['one node', { node: 'n1' }, ['n1']],
    ['every node', { node: '*' }, ['n1', 'n2']],
    ['nobody for a node that is not there', { node: 'n3' }, []],
  ];
  for (const [what, peer, members] of cases) it(what, () => assert.deepEqual(membersOf(peer, all), members));

  it('pods of every namespace for a cluster rule', () => {
    assert.deepEqual(membersOf(web, all, {}, clusterRule), ['other-web', 'shop-web']);
  });
  it('a pod as soon as its agent saw its address, and none without', () => {
    assert.deepEqual(membersOf(web, [pod('a', { app: 'web' }), pod('b', { app: 'web' })], { a: ['10.0.0.9'] }), ['a']);
  });
  it('neither pods that have ended nor pods on the network of their node', () => {
    const ended = pod('ended', { app: 'web' }, { ips: ['10.0.0.1'], phase: 'Succeeded' });
    const host = pod('host', { app: 'web' }, { ips: ['192.0.2.1'], spec: { hostNetwork: true } });
    assert.deepEqual(membersOf(web, [ended, host]), []);
  });
  it('the same key for selectors that say the same', () => {
    const expressions = [
      { key: 'a', operator: 'In', values: ['x', 'y'] },
      { key: 'b', operator: 'Exists' },
    ];
    const [one, two] = peersOf(
      { podSelector: { matchExpressions: expressions } },
      {
        podSelector: {
          matchExpressions: [
            { key: 'b', operator: 'Exists' },
            { key: 'a', operator: 'In', values: ['y', 'x'] },
          ],
        },
      },
    );
    assert.equal(one, two);
    assert.match(one ?? '', /^nv\.group\.[0-9a-f]+$/);
  });
  it('another key in another namespace', () => {
    const keyIn = (where: string) =>
      published([rule('r', { egress: [{ name: 'a', action: 'Allow', to: [web] }] }, where)], 'r').rules[0]?.to;
    assert.notEqual(keyIn('shop'), keyIn('other'));
  });
  it('their addresses and named ports', () => {
    const container = {
      ports: [
        { name: 'http', containerPort: 8080 },
        { name: 'dns', containerPort: 53, protocol: 'UDP' },
      ],
    };
    const member = pod('a', { app: 'web' }, { ips: ['10.0.0.1', '2001:DB8::1'], spec: { containers: [container] } });
    const entries = compiled([rule('r', { egress: [{ name: 'a', action: 'Allow', to: [web] }] }), member]);
    const key = [...entries.keys()].find((one) => one.startsWith(keys.groupsPrefix)) ?? '';
    assert.deepEqual(at(entries, key), {
      ips: ['10.0.0.1', '2001:db8::1'],
      ports: { dns: [{ protocol: 'udp', port: 53 }], http: [{ protocol: 'tcp', port: 8080 }] },
    });
  });
});

describe('a workload is published', () => {
  const resourcesOf = (resources: Resource[], name = 'p') =>
    at(compiled(resources), keys.workload('n1', name))?.resources;

  it('with those that select it, in their order', () => {
    const rules = [
      rule('b', { priority: 5 }),
      rule('a', { priority: 5 }),
      rule('late', {}),
      rule('other', { selector: { matchLabels: { app: 'db' } } }),
      rule('elsewhere', {}, 'other'),
      clusterRule('cluster', { priority: 9999 }),
      clusterRule('teams', { namespaceSelector: { matchLabels: { team: 'b' } } }),
    ];
    assert.deepEqual(resourcesOf([...rules, pod('p', { app: 'web' })]), ['cluster', 'a', 'b', 'late']);
    const inTeam = [...rules, pod('p', {}, { namespace: 'other' }), namespace('other', { team: 'b' })];
    assert.deepEqual(resourcesOf(inTeam), ['teams', 'cluster', 'elsewhere']);
  });
  it('also when none selects it', () => assert.deepEqual(resourcesOf([pod('p', {})]), []));
  it('only once it has a node', () => {
    assert.deepEqual([...compiled([pod('p', {}, { node: '' })]).keys()], []);
  });
});

describe('a generation', () => {
  const spec = { egress: [{ name: 'a', action: 'Allow', ports: ['tcp/1'] }] };
  const reordered = { egress: [{ ports: ['tcp/1'], action: 'Allow', name: 'a' }] };
  const count = (manifest: Resource, known: Parameters<typeof countGenerations>[1]) =>
    countGenerations(declare([manifest], [], NOTHING_UNREAD).rules, known);
  const first = count(rule('r', spec), new Map());

  const cases: [what: string, spec: object, generation: number][] = [
    ['stays when nothing changes', spec, 1],
    ['stays when only the order of members does', reordered, 1],
    ['rises with a rule', { egress: [{ name: 'a', action: 'Deny', ports: ['tcp/1'] }] }, 2],
    ['rises with the selector alone', { ...spec, selector: { matchLabels: { app: 'x' } } }, 2],
  ];
  for (const [what, changed, generation] of cases) {
    it(what, () => assert.equal(count(rule('r', changed), first).get('r')?.generation, generation));
  }
  it('is the source’s own where it has one', () => {
    const own = resource({
      apiVersion: API,
      kind: 'NetworkRule',
      metadata: { name: 'r', generation: 7, uid: 'r' },
      spec: { selector: {} },
    });
    assert.deepEqual(count(own, first).get('r'), { generation: 7 });
  });
});

describe('in a cluster of 1,000 pods and 100 rules', () => {
  const PODS = 1000;
  const rules = Array.from({ length: 100 }, (_, index) =>
    rule(`r${index}`, {
      selector: { matchLabels: { app: `a${index % 50}` } },
      egress: [{ name: 'x', action: 'Allow', to: [{ podSelector: { matchLabels: { app: `a${index % 20}` } } }] }],
    }),
  );
  const numbered = (index: number, app: string, parts: { node?: string; ips?: string[] } = {}) => {
    const ip = `10.${Math.floor(index / 250)}.0.${(index % 250) + 1}`;
    return pod(`p${index}`, { app }, { node: `n${index % 10}`, ips: [ip], ...parts });
  };
  const pods = Array.from({ length: PODS }, (_, index) => numbered(index, `a${index % 50}`));
  const before = compiled([...rules, ...pods]);
  const held = new Map([...before].map(([key, value]) => [key, { value }]));
  const writes = (changed: Resource[]) => planWrites(compiled([...rules, ...changed]), held).flat().length;
  const withFirst = (...first: Resource[]) => [...first, ...pods.slice(1)];

  const cases: [what: string, pods: Resource[], writes: number][] = [
    ['nothing that changes writes nothing', pods, 0],
    ['a new pod is its workload and its group', [...pods, numbered(PODS, 'a7')], 2],
    ['a new pod that no rule is about is its workload alone', [...pods, numbered(PODS, 'none')], 1],
    ['a pod that goes is its workload and its group', withFirst(), 2],
    ['a relabelled pod is its workload and the groups that it leaves and enters', withFirst(numbered(0, 'a8')), 3],
    ['a pod with another address is its group', withFirst(numbered(0, 'a0', { ips: ['10.9.9.9'] })), 1],
    ['a pod on another node is its workload there and here', withFirst(numbered(0, 'a0', { node: 'n9' })), 2],
  ];
  for (const [what, changed, count] of cases) it(what, () => assert.equal(writes(changed), count));
});
