// A policy as the commands build it, and the rules that contradict themselves.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rule } from '../bpf/rules.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { ACTION, DIRECTION, POLICY_COMMAND } from '../protocol/values.ts';
import { changePolicy, type Policy, type PolicyChange } from './policy.ts';

const MAC = '02:00:00:00:00:01';
const change = (more: Partial<PolicyChange> = {}): PolicyChange => ({
  cmd: POLICY_COMMAND.add,
  defact: ACTION.deny,
  dir: DIRECTION.both,
  mac: [MAC],
  rules: [],
  ...more,
});
const [first, second, third] = [rule({ id: 1001 }), rule({ id: 1002 }), rule({ id: 1003 })];
const current: Policy = { defaultAction: ACTION.deny, directions: DIRECTION.both, rules: [first, second] };
const ids = (policy: Policy | undefined) => policy?.rules.map(({ id }) => id);

describe('ADD', () => {
  it('makes a policy where there is none', () => {
    assert.deepEqual(changePolicy(undefined, change({ rules: [first] })), { ...current, rules: [first] });
  });
  it('replaces the whole of one that there is', () => {
    const policy = changePolicy(current, change({ defact: ACTION.open, dir: DIRECTION.ingress, rules: [third] }));
    assert.deepEqual(policy, { defaultAction: ACTION.open, directions: DIRECTION.ingress, rules: [third] });
  });
  it('orders the rules by their ids', () => {
    assert.deepEqual(ids(changePolicy(undefined, change({ rules: [third, first, second] }))), [1001, 1002, 1003]);
  });
  it('of no rules leaves the default action alone', () => {
    assert.deepEqual(ids(changePolicy(current, change())), []);
  });
});

describe('MOD', () => {
  const modify = (more: Partial<PolicyChange>) => change({ cmd: POLICY_COMMAND.mod, ...more });
  it('replaces the rules of the same ids, adds others, and keeps the rest', () => {
    const denied = { ...second, action: ACTION.deny };
    const policy = changePolicy(current, modify({ rules: [denied, third] }));
    assert.deepEqual(policy?.rules, [first, denied, third]);
  });
  it('sets the default action and the directions', () => {
    const policy = changePolicy(current, modify({ defact: ACTION.learn, dir: DIRECTION.egress }));
    assert.deepEqual(policy, { defaultAction: ACTION.learn, directions: DIRECTION.egress, rules: current.rules });
  });
  it('of a policy that is not known is refused', () => {
    assert.throws(() => changePolicy(undefined, modify({ rules: [first] })), {
      code: ERROR_CODE.policyUnknown,
      message: `no policy is known for ${MAC}: send the whole of it (cmd 1) first`,
    });
  });
});

describe('DEL', () => {
  const remove = (rules: PolicyRule[]) => change({ cmd: POLICY_COMMAND.del, defact: ACTION.open, rules });
  it('removes the listed ids, whatever else their rules say, and keeps the default action', () => {
    const policy = changePolicy(current, remove([{ ...first, sip: '10.9.9.9', port: 9 }]));
    assert.deepEqual(policy, { ...current, rules: [second] });
  });
  it('of ids that are not there changes nothing', () => {
    assert.deepEqual(changePolicy(current, remove([third])), current);
  });
  it('of every id leaves the default action alone', () => {
    assert.deepEqual(ids(changePolicy(current, remove([first, second]))), []);
  });
  it('without rules removes the policy, also one that is not known', () => {
    assert.equal(changePolicy(current, remove([])), undefined);
    assert.equal(changePolicy(undefined, remove([])), undefined);
  });
  it('of some rules of a policy that is not known is refused', () => {
    assert.throws(() => changePolicy(undefined, remove([first])), { code: ERROR_CODE.policyUnknown });
  });
});

describe('a rule is refused', () => {
  const { invalidCommand, notSupported } = ERROR_CODE;
  const named = { ...rule(), fqdn: 'a.test', dip: '0.0.0.0', dipr: '0.0.0.0' };
  const cases: readonly [says: string, rule: PolicyRule, problem: RegExp, code?: number][] = [
    [
      'whose source range is reversed',
      { ...rule(), sip: '10.0.0.2', sipr: '10.0.0.1' },
      /its sip range runs backwards, from 10\.0\.0\.2 to 10\.0\.0\.1/,
    ],
    [
      'whose destination range is reversed',
      { ...rule(), dip: '10.0.0.2', dipr: '9.255.255.255' },
      /its dip range runs backwards/,
    ],
    [
      'whose IPv6 range is reversed',
      { ...rule({ family: 6 }), sip: 'fd00:0:0:1::', sipr: 'fd00::ffff' },
      /its sip range runs backwards/,
    ],
    ['whose ports are reversed', rule({ ports: 'tcp/443-442' }), /its ports run backwards, from 443 to 442/],
    [
      'whose ends are of two families',
      { ...rule(), dip: '::', dipr: '::' },
      /sip 0\.0\.0\.0 and dip :: are not of one address family/,
    ],
    [
      'whose range is of two families',
      { ...rule(), sipr: '::1' },
      /sip 0\.0\.0\.0 and sipr ::1 are not of one address family/,
    ],
    ['that names a host on ingress', { ...named, ingress: true }, /fqdn a\.test on ingress: a name is a destination/],
    [
      'that names a host and an address',
      { ...named, dip: '10.0.0.1', dipr: '10.0.0.1' },
      /dip 10\.0\.0\.1 beside fqdn a\.test/,
    ],
    [
      'that names a host and a range',
      { ...named, dipr: '255.255.255.255' },
      /beside fqdn a\.test: leave it at 0\.0\.0\.0 or ::/,
    ],
    [
      'that has applications of ICMP',
      rule({ ports: 'icmp', apps: { HTTP: 1 } }),
      /apps with protocol 1: only TCP and UDP carry them/,
    ],
    [
      'that has an application twice',
      {
        ...rule(),
        apps: [
          { app: 100, action: 1, rid: 1 },
          { app: 100, action: 2, rid: 1 },
        ],
      },
      /an application is there twice/,
    ],
    ['that asks for vhost', { ...named, vhost: true }, /vhost is not supported yet/, notSupported],
  ];
  for (const [says, bad, problem, code = invalidCommand] of cases)
    it(says, () => {
      const isRefused = { name: 'CommandError', code, command: 'ctrl_cfg_policy', message: problem };
      for (const cmd of [POLICY_COMMAND.add, POLICY_COMMAND.mod])
        assert.throws(() => changePolicy(current, change({ cmd, rules: [third, { ...bad, id: 2000 }] })), isRefused);
      assert.throws(
        () => changePolicy(current, change({ rules: [{ ...bad, id: 2000 }] })),
        /^CommandError: ctrl_cfg_policy: rule 2000: /,
      );
    });
  it('whose id another one has', () => {
    assert.throws(() => changePolicy(undefined, change({ rules: [first, second, first] })), {
      code: invalidCommand,
      message: 'ctrl_cfg_policy: rule 1001: its id is there twice',
    });
  });
});

describe('a rule is taken', () => {
  const cases: readonly [says: string, rule: PolicyRule][] = [
    ['of one address at both ends of a range', { ...rule(), sip: '10.0.0.1', sipr: '10.0.0.1' }],
    [
      'without the ends of its ranges',
      { id: 1, sip: '10.0.0.1', dip: '10.0.0.2', port: 80, proto: 6, action: 1, ingress: false },
    ],
    ['with ports that do not count, whatever they are', { ...rule({ ports: 'icmp' }), port: 9, portr: 1 }],
    ['with portr 0 for port alone', { ...rule(), proto: 6, port: 443, portr: 0 }],
    ['with vhost that is false', { ...rule(), vhost: false }],
    ['with a name and IPv6', { ...rule({ family: 6 }), fqdn: 'a.test', dip: '::', dipr: '::' }],
    [
      'with a name and no dipr',
      {
        id: 1,
        sip: '0.0.0.0',
        sipr: '255.255.255.255',
        dip: '0.0.0.0',
        fqdn: '*.a.test',
        port: 80,
        proto: 6,
        action: 1,
        ingress: false,
      },
    ],
    ['with applications of any protocol', rule({ apps: { DNS: 1 } })],
  ];
  for (const [says, good] of cases)
    it(says, () => assert.deepEqual(changePolicy(undefined, change({ rules: [good] }))?.rules, [good]));
});
