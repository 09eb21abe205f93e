import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseManifest } from './parse.ts';

const policy = (spec: unknown, metadata: object = {}) => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'web', namespace: 'shop', ...metadata },
  ...(spec === undefined ? {} : { spec }),
});
const from = (peer: unknown) => policy({ ingress: [{ from: [peer] }] });
const port = (value: unknown) => policy({ egress: [{ ports: [value] }] });
const block = (cidr: string, ...except: string[]) => from({ ipBlock: { cidr, except } });

function messages(manifest: unknown): string[] {
  const parsed = parseManifest(manifest);
  return 'refusals' in parsed
    ? parsed.refusals.map(({ message }) => message.replace('NetworkPolicy shop/web: spec', 'spec'))
    : [];
}

describe('a NetworkPolicy is taken', () => {
  const cases: [what: string, manifest: unknown][] = [
    ['without a spec, as the API server does', policy(undefined)],
    ['with what a Go client writes', policy({ podSelector: {} }, { creationTimestamp: null, labels: null })],
    ['with members that are null', policy({ podSelector: null, ingress: [{ from: null, ports: null }], egress: null })],
    ['with a selector beside another', from({ podSelector: {}, namespaceSelector: {} })],
    ['with a null selector beside a block', from({ podSelector: null, ipBlock: { cidr: '10.0.0.0/8' } })],
    ['with a port that is called like a protocol', port({ port: 'tcp' })],
  ];
  for (const [what, manifest] of cases) it(what, () => assert.deepEqual(messages(manifest), []));
});

describe('a NetworkPolicy is refused, as by the API server,', () => {
  const cases: [what: string, manifest: unknown, message: string | RegExp][] = [
    [
      'with a peer that names nobody',
      from({}),
      'spec.ingress[0].from[0]: names no peer: use podSelector, namespaceSelector or ipBlock ({} as podSelector is every pod)',
    ],
    [
      'with a selector beside a block',
      from({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }),
      'spec.ingress[0].from[0]: has ipBlock beside a selector: use an entry of its own for each',
    ],
    [
      'with an exception outside of the block',
      block('10.0.0.0/8', '11.0.0.0/16'),
      'spec.ingress[0].from[0].ipBlock.except[0]: "11.0.0.0/16" is no part of 10.0.0.0/8: use networks inside it',
    ],
    ['with an exception that is the block', block('10.0.0.0/8', '10.0.0.0/8'), /is no part of 10\.0\.0\.0\/8/],
    ['with a block that is none', block('10.0.0.0'), /"10\.0\.0\.0" is not a network/],
    [
      'with a number in quotes',
      port({ port: '80' }),
      'spec.egress[0].ports[0].port: "80" is no port: use a number, as in 8080 (without quotes), or a container port’s name, as in http',
    ],
    ['with port 0', port({ port: 0 }), 'spec.egress[0].ports[0].port: 0 is no port: use 1 to 65535'],
    [
      'with a range from high to low',
      port({ port: 80, endPort: 79 }),
      'spec.egress[0].ports[0].endPort: 79 is below port 80: put the lower one into port',
    ],
    [
      'with the end of a range that begins at a name',
      port({ port: 'http', endPort: 90 }),
      'spec.egress[0].ports[0].endPort: needs a number as port beside it',
    ],
    ['with the end of a range alone', port({ endPort: 90 }), /endPort: needs a number as port beside it$/],
    ['with a protocol that has no ports', port({ protocol: 'ICMP' }), /"ICMP" is not one of TCP, UDP, SCTP$/],
    ['with a type that is none', policy({ policyTypes: ['Both'] }), /"Both" is not one of Ingress, Egress$/],
    [
      'with a field that is none',
      policy({ podselector: {} }),
      /"podselector" is no field of it; known are podSelector/,
    ],
    [
      'with an operator without values',
      from({ podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }),
      'spec.ingress[0].from[0].podSelector.matchExpressions[0]: In needs values',
    ],
    ['with a rule that is null', policy({ ingress: [null] }), 'spec.ingress[0]: null is not of type object'],
  ];
  for (const [what, manifest, expected] of cases)
    it(what, () => {
      const [message = '', ...more] = messages(manifest);
      assert.deepEqual(more, []);
      if (typeof expected === 'string') assert.equal(message, expected);
      else assert.match(message, expected);
    });
});
