import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Expected, policy, verdicts } from './small-cluster.ts';

const A = { matchLabels: { pod: 'a' } };
const into = (...ingress: object[]) => policy({ podSelector: A, ingress });
const out = (...egress: object[]) => policy({ podSelector: A, policyTypes: ['Egress'], egress });
const from = (...peers: object[]) => into({ from: peers });
const to = (...peers: object[]) => out({ to: peers });
const DENY_IN = policy({ podSelector: {}, policyTypes: ['Ingress'] }, 'x', 'deny');

const cases: Readonly<Record<string, [what: string, policies: object[], expected: Expected][]>> = {
  'who is isolated': [
    ['nobody without a policy', [], { 'x/b → x/a TCP/80': 'yes', 'x/b → x/a ICMP': 'yes' }],
    [
      'the pods selected, in the policy’s own namespace',
      [policy({ podSelector: A })],
      { 'x/b → x/a TCP/80': 'no', 'x/a → x/b TCP/80': 'yes', 'x/b → y/a TCP/80': 'yes' },
    ],
    [
      'every pod by an empty selector',
      [policy({ podSelector: {} })],
      { 'y/a → x/a TCP/80': 'no', 'y/a → x/b TCP/80': 'no' },
    ],
    ['every pod by an absent selector', [policy({})], { 'y/a → x/b TCP/80': 'no', 'x/a → y/b TCP/80': 'yes' }],
    [
      'for every protocol',
      [policy({})],
      { 'y/a → x/a UDP/80': 'no', 'y/a → x/a SCTP/9': 'no', 'y/a → x/a ICMP': 'no' },
    ],
    ['but never from itself', [policy({})], { 'x/a → x/a TCP/80': 'yes' }],
  ],
  'which directions are isolated': [
    ['ingress alone unless told', [policy({})], { 'x/a → y/a TCP/80': 'yes', 'y/a → x/a TCP/80': 'no' }],
    [
      'ingress too where there are egress rules',
      [policy({ egress: [{}] })],
      { 'x/a → y/a TCP/80': 'yes', 'y/a → x/a TCP/80': 'no' },
    ],
    ['not egress by an empty list of rules', [policy({ egress: [] })], { 'x/a → y/a TCP/80': 'yes' }],
    [
      'egress by its type',
      [policy({ policyTypes: ['Egress'] })],
      { 'x/a → y/a TCP/80': 'no', 'y/a → x/a TCP/80': 'yes' },
    ],
    [
      'both by both types',
      [policy({ policyTypes: ['Ingress', 'Egress'] })],
      { 'x/a → y/a TCP/80': 'no', 'y/a → x/a TCP/80': 'no' },
    ],
    [
      'and rules of another direction are ignored',
      [policy({ policyTypes: ['Egress'], ingress: [], egress: [{}] })],
      { 'y/a → x/a TCP/80': 'yes', 'x/a → y/a TCP/80': 'yes' },
    ],
  ],
  'what a rule allows': [
    ['everything when it is empty', [into({})], { 'y/a → x/a TCP/80': 'yes', 'z/a → x/a ICMP': 'yes' }],
    ['every peer by an empty list', [into({ from: [] })], { 'z/a → x/a TCP/1': 'yes' }],
    ['every port by an empty list', [into({ ports: [] })], { 'z/a → x/a SCTP/1': 'yes' }],
    [
      'only what matches its peers and its ports',
      [into({ from: [{ podSelector: {} }], ports: [{ port: 80 }] })],
      { 'x/b → x/a TCP/80': 'yes', 'x/b → x/a TCP/81': 'no', 'y/a → x/a TCP/80': 'no' },
    ],
    [
      'what any rule of any policy allows',
      [
        into({ ports: [{ port: 80 }] }, { ports: [{ port: 81 }] }),
        policy({ ingress: [{ ports: [{ port: 82 }] }] }, 'x', 'q'),
        DENY_IN,
      ],
      { 'x/b → x/a TCP/80': 'yes', 'x/b → x/a TCP/81': 'yes', 'x/b → x/a TCP/82': 'yes', 'x/b → x/a TCP/83': 'no' },
    ],
    [
      'a connection only where both sides do',
      [to({ namespaceSelector: {} }), policy({ podSelector: A, ingress: [{ from: [{ podSelector: {} }] }] }, 'y')],
      { 'x/a → y/a TCP/80': 'no', 'y/b → y/a TCP/80': 'yes', 'x/a → y/b TCP/80': 'yes' },
    ],
  ],
  'who a peer is': [
    [
      'pods of the same namespace by podSelector alone',
      [from({ podSelector: {} })],
      { 'x/b → x/a TCP/80': 'yes', 'y/b → x/a TCP/80': 'no' },
    ],
    [
      'all pods of namespaces by namespaceSelector alone',
      [from({ namespaceSelector: { matchLabels: { ns: 'y' } } })],
      { 'y/b → x/a TCP/80': 'yes', 'x/b → x/a TCP/80': 'no' },
    ],
    [
      'pods in namespaces by both in one entry',
      [from({ podSelector: A, namespaceSelector: { matchLabels: { ns: 'y' } } })],
      { 'y/a → x/a TCP/80': 'yes', 'y/b → x/a TCP/80': 'no' },
    ],
    [
      'either by two entries',
      [from({ podSelector: { matchLabels: { pod: 'b' } } }, { namespaceSelector: { matchLabels: { ns: 'y' } } })],
      { 'x/b → x/a TCP/80': 'yes', 'y/a → x/a TCP/80': 'yes', 'z/a → x/a TCP/80': 'no' },
    ],
    [
      'every pod of every namespace by empty ones',
      [from({ podSelector: {}, namespaceSelector: {} })],
      { 'z/a → x/a TCP/80': 'yes' },
    ],
    [
      'a namespace by its name, also without a manifest',
      [from({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'z' } } })],
      { 'z/a → x/a TCP/80': 'yes', 'y/a → x/a TCP/80': 'no' },
    ],
    [
      'one without a label, where NotIn is asked',
      [from({ namespaceSelector: { matchExpressions: [{ key: 'ns', operator: 'NotIn', values: ['y'] }] } })],
      { 'z/a → x/a TCP/80': 'yes', 'y/a → x/a TCP/80': 'no', 'x/b → x/a TCP/80': 'yes' },
    ],
    ['no address by a selector', [from({ namespaceSelector: {} })], { '192.0.2.1 → x/a TCP/80': 'no' }],
  ],
  'an ipBlock': [
    [
      'has pods by their addresses',
      [from({ ipBlock: { cidr: '10.0.1.0/24' } })],
      { 'y/a → x/a TCP/80': 'yes', 'z/a → x/a TCP/80': 'no' },
    ],
    [
      'leaves its exceptions to other entries',
      [from({ ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.1.0/24'] } }, { ipBlock: { cidr: '10.0.1.2/32' } })],
      { 'z/a → x/a TCP/80': 'yes', 'y/a → x/a TCP/80': 'no', 'y/b → x/a TCP/80': 'yes' },
    ],
    [
      'begins at its network, whatever address it is written with',
      [from({ ipBlock: { cidr: '10.0.1.77/24' } })],
      { 'y/a → x/a TCP/80': 'yes' },
    ],
    [
      'of everything has what is no pod',
      [to({ ipBlock: { cidr: '0.0.0.0/0' } })],
      { 'x/a → 192.0.2.1 TCP/80': 'yes', 'x/a → y/a TCP/80': 'yes' },
    ],
    [
      'of IPv6 has no IPv4',
      [to({ ipBlock: { cidr: '::/0' } })],
      { 'x/a → 192.0.2.1 TCP/80': 'no', 'x/a → 2001:db8::1 TCP/80': 'no family' },
    ],
  ],
  'a port': [
    [
      'is of TCP unless told',
      [into({ ports: [{ port: 80 }] })],
      { 'x/b → x/a TCP/80': 'yes', 'x/b → x/a UDP/80': 'no' },
    ],
    [
      'may be of SCTP',
      [into({ ports: [{ protocol: 'SCTP', port: 9 }] })],
      { 'x/b → x/a SCTP/9': 'yes', 'x/b → x/a SCTP/8': 'no' },
    ],
    [
      'may be every one of a protocol',
      [into({ ports: [{ protocol: 'UDP' }] })],
      { 'x/b → x/a UDP/65535': 'yes', 'x/b → x/a TCP/80': 'no' },
    ],
    [
      'has both ends of a range',
      [into({ ports: [{ port: 80, endPort: 82 }] })],
      { 'x/b → x/a TCP/79': 'no', 'x/b → x/a TCP/80': 'yes', 'x/b → x/a TCP/82': 'yes', 'x/b → x/a TCP/83': 'no' },
    ],
    [
      'may be a range of one',
      [into({ ports: [{ port: 80, endPort: 80 }] })],
      { 'x/b → x/a TCP/80': 'yes', 'x/b → x/a TCP/81': 'no' },
    ],
    [
      'by name is every container’s of that protocol',
      [into({ ports: [{ port: 'web' }] })],
      { 'x/b → x/a TCP/80': 'yes', 'x/b → x/a TCP/8080': 'yes', 'x/b → x/a UDP/80': 'no', 'x/b → x/a TCP/81': 'no' },
    ],
    ['by a name that the pod lacks is none', [into({ ports: [{ port: 'other' }] })], { 'x/b → x/a TCP/80': 'no' }],
    [
      'by a name of another protocol is none',
      [into({ ports: [{ protocol: 'TCP', port: 'assoc' }] })],
      { 'x/b → x/a TCP/9': 'no' },
    ],
    [
      'by name is the destination’s, to send to',
      [out({ to: [{ namespaceSelector: {} }], ports: [{ port: 'web' }] })],
      { 'x/a → y/a TCP/8080': 'yes', 'x/a → y/a TCP/81': 'no', 'x/a → z/a TCP/80': 'no' },
    ],
    [
      'by name is of pods alone, also to everybody',
      [out({ ports: [{ port: 'web' }] })],
      { 'x/a → y/a TCP/80': 'yes', 'x/a → z/a TCP/80': 'no', 'x/a → 192.0.2.1 TCP/80': 'no' },
    ],
    [
      'by name is of the pods in a block',
      [out({ to: [{ ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.1.2/32'] } }], ports: [{ port: 'web' }] })],
      { 'x/a → y/a TCP/80': 'yes', 'x/a → y/b TCP/80': 'no', 'x/a → z/a TCP/80': 'no' },
    ],
  ],
};

for (const [group, list] of Object.entries(cases))
  describe(group, () => {
    for (const [what, policies, expected] of list)
      it(what, () => assert.deepEqual(verdicts(policies, expected), expected));
  });
