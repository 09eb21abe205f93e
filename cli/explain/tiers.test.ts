import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clusterRule, type Expected, policy, rule, verdicts } from './small-cluster.ts';

const A = { podSelector: { matchLabels: { pod: 'a' } } };
const OPEN = policy({ ...A, ingress: [{}] });
const DENY_IN = policy({ policyTypes: ['Ingress'] });
const allow = { name: 'allow', action: 'Allow' };
const deny = { name: 'deny', action: 'Deny' };

const cases: [what: string, policies: object[], expected: Expected][] = [
  [
    'deny what a policy allows',
    [OPEN, rule({ ingress: [{ ...deny, ports: ['tcp/80'] }], defaultAction: 'Allow' })],
    { 'y/a → x/a TCP/80': 'no', 'y/a → x/a TCP/81': 'yes' },
  ],
  [
    'allow what no policy does',
    [DENY_IN, rule({ ingress: [{ ...allow, ports: ['tcp/80'] }] })],
    { 'y/a → x/a TCP/80': 'yes', 'y/a → x/a TCP/81': 'no' },
  ],
  [
    'of the cluster go before those of the namespace',
    [DENY_IN, rule({ ingress: [deny] }), clusterRule({ ingress: [{ ...allow, ports: ['tcp/80'] }] })],
    { 'y/a → x/a TCP/80': 'yes', 'y/a → x/a TCP/81': 'no' },
  ],
  [
    'have default actions that come after policies: one that denies',
    [OPEN, rule({ ingress: [] })],
    { 'y/a → x/a TCP/80': 'yes', 'y/a → x/b TCP/80': 'no' },
  ],
  [
    'have default actions that come after policies: one that allows',
    [policy(A), rule({ ingress: [], defaultAction: 'Allow' })],
    { 'y/a → x/a TCP/80': 'no', 'y/a → x/b TCP/80': 'yes' },
  ],
  [
    'that only watch leave policies in force',
    [policy(A), rule({ ingress: [], mode: 'Discover' })],
    { 'y/a → x/a TCP/80': 'no', 'y/a → x/b TCP/80': 'yes' },
  ],
  [
    'leave the other direction to policies',
    [policy({ policyTypes: ['Egress'] }), rule({ ingress: [allow] })],
    { 'x/a → y/a TCP/80': 'no', 'y/a → x/a TCP/80': 'yes' },
  ],
];

describe('the tiers above NetworkPolicies', () => {
  for (const [what, policies, expected] of cases)
    it(what, () => assert.deepEqual(verdicts(policies, expected), expected));
});
