import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GroupMember, PublishedResource, PublishedRule } from '@podwall/controller/api/keyspace.ts';
import type { PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { policyBatches } from '../dp/batches.ts';
import { type ComputedPolicy, computePolicy, type WorkloadIdentity } from './policy.ts';

const MAC = 'aa:bb:cc:dd:ee:ff';
const ANY4 = ['0.0.0.0', '255.255.255.255'] as const;
const ANY6 = ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'] as const;

const workload = (change: Partial<WorkloadIdentity> = {}): WorkloadIdentity => ({
  id: 'container-1',
  mac: MAC,
  ips: ['192.168.1.100', 'fe80::1'],
  ports: {},
  nodeIps: [],
  ...change,
});
const DUAL_STACK = workload({ ips: ['192.168.1.100', '2001:db8::100', 'fe80::1'] });

const rule = (change: Partial<PublishedRule>): PublishedRule => ({
  name: 'r',
  direction: 'egress',
  from: change.direction === 'ingress' ? 'nv.any' : 'nv.workload',
  to: change.direction === 'ingress' ? 'nv.workload' : 'nv.any',
  ports: 'any',
  action: 'allow',
  applications: [],
  ...change,
});

const resource = (change: Partial<PublishedResource> = {}): PublishedResource => ({
  uid: 'u1',
  kind: 'NetworkRule',
  namespace: 'shop',
  name: 'checkout',
  generation: 1,
  tier: 200,
  priority: 100,
  mode: 'Protect',
  defaultAction: 'deny',
  directions: ['egress', 'ingress'],
  rules: [],
  ...change,
});

function compute(
  rules: readonly Partial<PublishedRule>[],
  { of = workload(), groups = {} }: { of?: WorkloadIdentity; groups?: Record<string, readonly GroupMember[]> } = {},
): ComputedPolicy {
  return computePolicy(of, [resource({ rules: rules.map(rule) })], new Map(Object.entries(groups)));
}

const rulesOf = ({ policy }: ComputedPolicy): readonly PolicyRule[] => policy?.policy_rules ?? [];
const peers = (policy: ComputedPolicy): string[] => rulesOf(policy).map(({ dip, dipr }) => `${dip}-${dipr}`);
const ports = (policy: ComputedPolicy): string[] =>
  rulesOf(policy).map(({ proto, port, portr }) => `${proto}:${port}-${portr}`);

describe('the policy of a workload', () => {
  it('is, for the reference’s example, the reference’s message to the letter', () => {
    const { policy } = compute([
      { name: 'mysql', to: 'nv.ip.10.20.30.40', ports: 'tcp/3306' },
      { name: 'github', to: 'nv.fqdn.api.github.com', ports: 'tcp/443', applications: ['HTTPS'] },
      { name: 'redis', to: 'nv.ip.10.20.30.50', ports: 'tcp/6379', action: 'deny' },
    ]);
    const common = { sip: '0.0.0.0', sipr: '255.255.255.255', proto: 6, ingress: false };
    const expected = {
      ctrl_cfg_policy: {
        cmd: 1,
        flag: 3,
        defact: 2,
        dir: 3,
        mac: [MAC],
        rules: [
          { id: 1001, ...common, dip: '10.20.30.40', dipr: '10.20.30.40', port: 3306, portr: 3306, action: 1 },
          {
            ...{ id: 1002, ...common, dip: '0.0.0.0', dipr: '0.0.0.0', port: 443, portr: 443, action: 1 },
            fqdn: 'api.github.com',
            apps: [{ rid: 1002, app: 101, action: 1 }],
          },
          { id: 1003, ...common, dip: '10.20.30.50', dipr: '10.20.30.50', port: 6379, portr: 6379, action: 2 },
        ],
      },
    };
    assert(policy);
    const [only, ...more] = policyBatches(policy).map(String);
    assert.deepEqual(more, []);
    assert.deepEqual(JSON.parse(only ?? ''), expected);
    assert.match(
      only ?? '',
      /"id":1001,"sip":.*"dip":.*"sipr":.*"dipr":.*"port":.*"portr":.*"proto":.*"action":.*"ingress"/,
    );
  });

  it('is, for the reference’s conversion, the reference’s rule', () => {
    const [only] = rulesOf(
      compute([{ from: 'nv.ip.192.168.1.10', to: 'nv.fqdn.api.github.com', ports: 'tcp/443', applications: ['HTTP'] }]),
    );
    assert.deepEqual(only, {
      ...{ id: 1001, sip: '192.168.1.10', dip: '0.0.0.0', sipr: '192.168.1.10', dipr: '0.0.0.0', port: 443 },
      ...{ portr: 443, proto: 6, action: 1, ingress: false, fqdn: 'api.github.com' },
      apps: [{ rid: 1001, app: 100, action: 1 }],
    });
  });

  it('has no policy where nothing selects the workload', () => {
    const { policy, tap } = computePolicy(workload(), [], new Map());
    assert.deepEqual({ policy, tap }, { policy: undefined, tap: false });
  });

  const modes = [
    ['Protect', 'deny', { allow: 1, deny: 2, default: 2, tap: false }],
    ['Protect', 'allow', { allow: 1, deny: 2, default: 1, tap: false }],
    ['Monitor', 'deny', { allow: 1, deny: 4, default: 4, tap: true }],
    ['Monitor', 'allow', { allow: 1, deny: 4, default: 1, tap: true }],
    ['Discover', 'deny', { allow: 1, deny: 4, default: 3, tap: true }],
    ['Discover', 'allow', { allow: 1, deny: 4, default: 3, tap: true }],
  ] as const;
  for (const [mode, defaultAction, expected] of modes)
    it(`in ${mode} with default ${defaultAction} has the actions ${JSON.stringify(expected)}`, () => {
      const rules = [rule({ action: 'allow', to: 'nv.ip.1.1.1.1' }), rule({ action: 'deny', to: 'nv.ip.1.1.1.2' })];
      const computed = computePolicy(workload(), [resource({ mode, defaultAction, rules })], new Map());
      const [allow, deny] = rulesOf(computed).map(({ action }) => action);
      assert.deepEqual({ allow, deny, default: computed.policy?.defact, tap: computed.tap }, expected);
    });

  it('keeps each resource’s mode for its own rules, and drops where any is in Protect', () => {
    const rules = [rule({ action: 'deny', to: 'nv.ip.1.1.1.1' })];
    const computed = computePolicy(
      workload(),
      [resource({ uid: 'a', mode: 'Monitor', rules }), resource({ uid: 'b', rules })],
      new Map(),
    );
    assert.deepEqual(
      rulesOf(computed).map(({ id, action }) => [id, action]),
      [
        [1001, 4],
        [1002, 2],
      ],
    );
    assert.deepEqual([computed.tap, computed.policy?.defact, computed.policy?.mode], [false, 4, 'protect']);
    assert.deepEqual(computed.ruleNames.get(1002), { uid: 'b', rule: 'r' });
    assert.deepEqual(computed.generations, { a: 1, b: 1 });
  });

  const directions = [
    [[['egress']], 2],
    [[['ingress']], 1],
    [[['egress', 'ingress']], 3],
    [[['egress'], ['egress']], 2],
  ] as const;
  for (const [ofResources, dir] of directions)
    it(`with resources for ${JSON.stringify(ofResources)} polices directions ${dir} without more rules`, () => {
      const computed = computePolicy(
        workload(),
        ofResources.map((each, i) => resource({ uid: `u${i}`, directions: each })),
        new Map(),
      );
      assert.deepEqual([computed.policy?.apply_dir, rulesOf(computed)], [dir, []]);
    });

  it('gives ingress its own default by rules at the end, where another resource has egress’', () => {
    const computed = computePolicy(
      workload(),
      [
        resource({ uid: 'out', directions: ['egress'], rules: [rule({ to: 'nv.ip.1.1.1.1' })] }),
        resource({ uid: 'in', directions: ['ingress'], defaultAction: 'allow' }),
      ],
      new Map(),
    );
    const every = { port: 0, portr: 65535, proto: 0, action: 1, ingress: true };
    assert.deepEqual(rulesOf(computed).slice(1), [
      { id: 1002, sip: ANY4[0], sipr: ANY4[1], dip: ANY4[0], dipr: ANY4[1], ...every },
      { id: 1003, sip: ANY6[0], sipr: ANY6[1], dip: ANY6[0], dipr: ANY6[1], ...every },
    ]);
    assert.deepEqual([computed.policy?.defact, computed.policy?.apply_dir], [2, 3]);
    assert.deepEqual(computed.ruleNames.get(1003), { uid: 'in', rule: '(default)' });
    assert.deepEqual(computed.defaultOf, { egress: 'out', ingress: 'in' });
  });
});

describe('a NetworkPolicy below other resources', () => {
  const policy = (change: Partial<PublishedResource> = {}) =>
    resource({ uid: 'np', kind: 'NetworkPolicy', tier: 300, priority: 0, directions: ['ingress'], ...change });
  const allow = rule({ direction: 'ingress', from: 'nv.ip.10.0.0.1' });
  const cases: [what: string, resources: PublishedResource[], action: number, of: ComputedPolicy['defaultOf']][] = [
    ['denies what no policy allows', [policy()], 2, { ingress: 'np' }],
    [
      'denies it also where a rule’s default action would allow it',
      [resource({ directions: ['ingress'], defaultAction: 'allow' }), policy()],
      2,
      { ingress: 'np' },
    ],
    [
      'denies it also where a rule in Discover would let it pass',
      [resource({ directions: ['ingress'], mode: 'Discover' }), policy()],
      2,
      { ingress: 'np' },
    ],
    [
      'leaves it to a rule whose default action denies it too',
      [resource({ directions: ['ingress'] }), policy()],
      2,
      { ingress: 'u1' },
    ],
  ];
  for (const [what, resources, action, of] of cases)
    it(what, () => {
      const computed = computePolicy(workload(), resources, new Map());
      assert.deepEqual([computed.policy?.defact, computed.defaultOf], [action, of]);
    });

  it('does not touch the default action of the other direction', () => {
    const computed = computePolicy(workload(), [resource({ defaultAction: 'allow' }), policy()], new Map());
    assert.deepEqual(computed.defaultOf, { egress: 'u1', ingress: 'np' });
    assert.equal(computed.policy?.defact, 1);
    assert.deepEqual(
      rulesOf(computed).map(({ ingress, action }) => [ingress, action]),
      [
        [true, 2],
        [true, 2],
      ],
    );
  });

  it('allows after the rules of the tiers above, and before their default actions', () => {
    const deny = rule({ direction: 'ingress', from: 'nv.ip.10.0.0.1', action: 'deny' });
    const computed = computePolicy(workload(), [resource({ rules: [deny] }), policy({ rules: [allow] })], new Map());
    assert.deepEqual(
      rulesOf(computed).map(({ id, action }) => [computed.ruleNames.get(id)?.uid, action]),
      [
        ['u1', 2],
        ['np', 1],
      ],
    );
  });

  it('has no fault where a container port’s name is missing', () => {
    const named = rule({ direction: 'ingress', ports: 'tcp/web' });
    assert.deepEqual(computePolicy(workload(), [policy({ rules: [named] })], new Map()).problems, []);
  });
});

describe('a workload’s own node', () => {
  const nodeIps = ['10.0.0.254', '2001:db8::fe'];
  const systemRules = (change: Partial<PublishedResource>) =>
    rulesOf(computePolicy(workload({ nodeIps }), [resource(change)], new Map()))
      .filter(({ id }) => id < 1001)
      .map(({ id, sip, sipr, dip, proto, action, ingress }) => ({ id, sip, sipr, dip, proto, action, ingress }));

  it('may always open connections to it, before all rules', () => {
    const shared = { proto: 0, action: 1, ingress: true };
    const [ipv4 = '', ipv6 = ''] = nodeIps;
    const deny = rule({ direction: 'ingress', action: 'deny' });
    assert.deepEqual(systemRules({ rules: [deny] }), [
      { id: 1, sip: ipv4, sipr: ipv4, dip: '0.0.0.0', ...shared },
      { id: 2, sip: ipv6, sipr: ipv6, dip: '::', ...shared },
    ]);
  });
  it('needs no rule where ingress is not policed', () => assert.deepEqual(systemRules({ directions: ['egress'] }), []));
  it('does not change the ids of the rules', () => {
    const { ruleNames } = computePolicy(workload({ nodeIps }), [resource({ rules: [rule({})] })], new Map());
    assert.deepEqual([...ruleNames.keys()], [1001]);
  });
});

describe('the peers of a rule', () => {
  it('are for ingress the source, and the workload is the destination', () => {
    const [only] = rulesOf(compute([{ direction: 'ingress', from: 'nv.ip.10.0.0.0/8', ports: 'tcp/8080' }]));
    assert.deepEqual(only, {
      ...{ id: 1001, sip: '10.0.0.0', dip: ANY4[0], sipr: '10.255.255.255', dipr: ANY4[1], port: 8080, portr: 8080 },
      ...{ proto: 6, action: 1, ingress: true },
    });
  });

  const cases = [
    ['nv.any', workload(), [ANY4.join('-')]],
    ['nv.any', DUAL_STACK, [ANY4.join('-'), ANY6.join('-')]],
    ['nv.ip.10.0.0.1-10.0.0.9', workload(), ['10.0.0.1-10.0.0.9']],
    ['nv.ip.10.1.2.3/16', workload(), ['10.1.0.0-10.1.255.255']],
    ['nv.ip.0.0.0.0/0', DUAL_STACK, [ANY4.join('-')]],
    ['nv.ip.2001:DB8::5', workload(), ['2001:db8::5-2001:db8::5']],
    ['nv.ip.2001:db8::/32', workload(), ['2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff']],
    ['nv.fqdn.api.github.com', workload(), ['0.0.0.0-0.0.0.0']],
    ['nv.fqdn.api.github.com', DUAL_STACK, ['0.0.0.0-0.0.0.0', '::-::']],
    ['nv.group.g', workload(), ['10.0.0.1-10.0.0.3', '10.0.0.9-10.0.0.9', '2001:db8::1-2001:db8::1']],
    ['nv.group.empty', workload(), []],
  ] as const;
  const groups = {
    g: [
      { ips: ['10.0.0.3', '2001:db8::1'], ports: {} },
      { ips: ['10.0.0.1'], ports: {} },
      { ips: ['10.0.0.9', '10.0.0.2'], ports: {} },
    ],
    empty: [],
  };
  for (const [to, of, expected] of cases)
    it(`for ${to} and a workload with ${of.ips.join(', ')} are ${expected.join(', ') || 'none'}`, () => {
      assert.deepEqual(peers(compute([{ to }], { of, groups })), expected);
    });

  const denied = [
    ['nv.any', [ANY4.join('-'), ANY6.join('-')]],
    ['nv.fqdn.api.github.com', ['0.0.0.0-0.0.0.0', '::-::']],
    ['nv.ip.10.20.30.50', ['10.20.30.50-10.20.30.50']],
  ] as const;
  for (const mode of ['Protect', 'Monitor', 'Discover'] as const)
    for (const [to, expected] of denied)
      it(`for ${to} that a rule in ${mode} denies are ${expected.join(', ')}, also without a global IPv6 address`, () => {
        const rules = [rule({ to, action: 'deny', ports: 'tcp/22' })];
        assert.deepEqual(
          peers(computePolicy(workload(), [resource({ mode, defaultAction: 'allow', rules })], new Map())),
          expected,
        );
      });

  it('that are IPv6 take IPv6 sources', () => {
    const [only] = rulesOf(compute([{ to: 'nv.ip.2001:db8::5' }]));
    assert.deepEqual([only?.sip, only?.sipr], ANY6);
  });

  it('that can not be read leave the rule out and say so', () => {
    const computed = compute([
      { name: 'bad', to: 'nv.ip.10.0.0.300' },
      { name: 'good', to: 'nv.ip.10.0.0.3' },
    ]);
    assert.deepEqual(computed.problems, [
      'NetworkRule shop/checkout, rule bad is left out: 10.0.0.300 is not an IP address',
    ]);
    assert.deepEqual([...computed.ruleNames], [[1001, { uid: 'u1', rule: 'good' }]]);
  });

  it('that are names are looked up, each once', () => {
    const { fqdns } = compute([{ to: 'nv.fqdn.a.example' }, { to: 'nv.fqdn.A.example.' }, { to: 'nv.any' }]);
    assert.deepEqual(fqdns, ['a.example']);
  });

  const unsupported = 'matching by the name that the client asks for (vhost) is not supported yet';
  for (const [action, problem] of [
    ['allow', unsupported],
    ['deny', `${unsupported}; what it denies is not enforced`],
  ] as const)
    it(`that are virtual hosts leave out the rule that is to ${action} them, and the others are realised`, () => {
      const computed = compute([
        { name: 'host', to: 'nv.fqdn.a.example', vhost: true, action },
        { name: 'host', to: 'nv.fqdn.b.example', vhost: true, action },
        { name: 'good', to: 'nv.ip.10.0.0.3' },
      ]);
      assert.deepEqual(computed.problems, [`NetworkRule shop/checkout, rule host is left out: ${problem}`]);
      assert.deepEqual([...computed.ruleNames], [[1001, { uid: 'u1', rule: 'good' }]]);
      assert.deepEqual(computed.fqdns, []);
    });
});

describe('the ports of a rule', () => {
  const web = { web: [{ protocol: 'tcp', port: 8080 }] } as const;
  const dns = {
    dns: [
      { protocol: 'udp', port: 53 },
      { protocol: 'tcp', port: 53 },
    ],
  } as const;
  const cases = [
    ['any', workload(), ['0:0-65535']],
    ['tcp/8000-8100,udp/53', workload(), ['6:8000-8100', '17:53-53']],
    ['icmp', DUAL_STACK, ['1:0-0']],
    ['icmpv6', workload(), ['58:0-0']],
    ['web', workload({ ports: web }), ['6:8080-8080']],
    ['web,tcp/1', workload(), ['6:1-1']],
    ['sctp/0-65535', workload(), ['132:0-65535']],
    ['tcp/web', workload({ ports: web }), ['6:8080-8080']],
    ['udp/web', workload({ ports: web }), []],
    ['dns', workload({ ports: dns }), ['17:53-53', '6:53-53']],
    ['tcp/dns', workload({ ports: dns }), ['6:53-53']],
  ] as const;
  for (const [text, of, expected] of cases)
    it(`for ${text} with container ports ${JSON.stringify(of.ports)} are ${expected.join(', ')}`, () => {
      assert.deepEqual(ports(compute([{ direction: 'ingress', ports: text }], { of })), expected);
    });

  it('that have a name the workload lacks are left out, in words', () => {
    const { problems } = compute([{ name: 'in', direction: 'ingress', ports: 'web' }]);
    assert.deepEqual(problems, ['NetworkRule shop/checkout, rule in: the workload has no container port named web']);
  });

  it('are of icmp for IPv4 peers and of icmpv6 for IPv6 peers only', () => {
    const both = { ports: 'icmp,icmpv6' };
    assert.deepEqual(ports(compute([{ ...both, to: 'nv.ip.10.0.0.1' }])), ['1:0-0']);
    assert.deepEqual(ports(compute([{ ...both, to: 'nv.ip.2001:db8::1' }])), ['58:0-0']);
  });

  it('that have a name are, for egress, each member’s own', () => {
    const members = [
      { ips: ['10.0.0.1'], ports: web },
      { ips: ['10.0.0.2'], ports: { web: [{ protocol: 'tcp', port: 9090 }] } },
      { ips: ['10.0.0.3'], ports: web },
      { ips: ['10.0.0.4'], ports: {} },
    ] as const;
    const computed = compute([{ name: 'out', to: 'nv.group.g', ports: 'web' }], { groups: { g: members } });
    assert.deepEqual(
      rulesOf(computed).map(({ dip, port }) => `${dip} ${port}`),
      ['10.0.0.1 8080', '10.0.0.3 8080', '10.0.0.2 9090'],
    );
    assert.deepEqual(computed.problems, [
      'NetworkRule shop/checkout, rule out: no container port is named web at 1 of 4 peers',
    ]);
  });

  it('come in order of peers first, then ports', () => {
    const groups = { g: [{ ips: ['10.0.0.1', '10.0.0.5'], ports: {} }] };
    const computed = compute([{ to: 'nv.group.g', ports: 'tcp/1,tcp/2' }], { groups });
    assert.deepEqual(
      rulesOf(computed).map(({ id, dip, port }) => `${id} ${dip} ${port}`),
      ['1001 10.0.0.1 1', '1002 10.0.0.1 2', '1003 10.0.0.5 1', '1004 10.0.0.5 2'],
    );
  });
});
