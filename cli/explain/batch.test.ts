import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { answerLine } from './batch.ts';

const cluster = {
  Namespaces: { shop: { team: 'a' } },
  Pods: [
    { Namespace: 'shop', Name: 'web', IP: '10.0.0.1', Labels: { app: 'web' } },
    {
      Namespace: 'shop',
      Name: 'db',
      IP: '10.0.0.2',
      Labels: { app: 'db' },
      Ports: [{ Name: 'sql', Port: 5432, Protocol: 'TCP' }],
    },
  ],
  Policies: [
    { metadata: { name: 'db', namespace: 'shop' }, spec: { ingress: [{ ports: [{ port: 'sql' }] }] } },
    {
      ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'ClusterNetworkRule', metadata: { name: 'no-dns' } },
      spec: { selector: {}, defaultAction: 'Allow', egress: [{ name: 'dns', action: 'Deny', ports: ['udp/53'] }] },
    },
  ],
};
const asked = (...Queries: object[]) => JSON.stringify({ ...cluster, Queries });
const query = { From: 'shop/web', To: 'shop/db', Proto: 'TCP', Port: 5432 };

describe('a line of --batch', () => {
  it('is answered in its order, with the rules of each side', () => {
    assert.deepEqual(
      answerLine(asked(query, { ...query, Port: 80 }, { ...query, To: '192.0.2.1', Proto: 'udp', Port: 53 })),
      {
        Verdicts: [
          {
            ...query,
            ...{ Ingress: 'allowed', Egress: 'allowed', Combined: 'allowed' },
            ...{ IngressRule: 'NetworkPolicy shop/db: ingress[0]', EgressRule: 'ClusterNetworkRule no-dns: (default)' },
          },
          {
            ...{ ...query, Port: 80, Ingress: 'blocked', Egress: 'allowed', Combined: 'blocked' },
            ...{ IngressRule: 'NetworkPolicy shop/db: (default)', EgressRule: 'ClusterNetworkRule no-dns: (default)' },
          },
          {
            ...{ From: 'shop/web', To: '192.0.2.1', Proto: 'udp', Port: 53 },
            ...{ Ingress: 'allowed', Egress: 'blocked', Combined: 'blocked' },
            ...{ IngressRule: null, EgressRule: 'ClusterNetworkRule no-dns: dns' },
          },
        ],
      },
    );
  });

  it('may leave out what Go writes as null', () => {
    const { Pods } = cluster;
    const bare = { Namespaces: null, Pods: Pods.map((pod) => ({ ...pod, Labels: null, Ports: null })), Policies: null };
    const answer = answerLine(JSON.stringify({ ...bare, Queries: [query] }));
    assert.equal('Verdicts' in answer && answer.Verdicts[0]?.Combined, 'allowed');
  });

  const rule = (name: string, spec: object) => ({
    ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: { name, namespace: 'shop' }, spec },
  });
  const speaking = (action: string, ...applications: string[]) => [{ name: 'speaks', action, applications }];
  const web = { matchLabels: { app: 'web' } };
  const db = { matchLabels: { app: 'db' } };
  const sides: [what: string, egress: object[], ingress: { action: string }[], combined: string][] = [
    ['that both allow', speaking('Allow', 'HTTP', 'HTTPS'), speaking('Allow', 'HTTPS'), 'allowed'],
    ['that one allows and the other does not', speaking('Allow', 'HTTP'), speaking('Allow', 'HTTPS'), 'blocked'],
    ['that one allows and the other denies', speaking('Allow', 'HTTP'), speaking('Deny', 'HTTP'), 'blocked'],
    ['that one allows where the other denies another', speaking('Allow', 'HTTP'), speaking('Deny', 'SSH'), 'allowed'],
  ];
  for (const [what, egress, ingress, combined] of sides)
    it(`takes an application ${what} as ${combined}`, () => {
      const Policies = [
        rule('out', { selector: web, egress }),
        rule('in', { selector: db, ingress, defaultAction: ingress[0]?.action === 'Deny' ? 'Allow' : 'Deny' }),
      ];
      const answer = answerLine(JSON.stringify({ ...cluster, Policies, Queries: [query] }));
      assert.equal('Verdicts' in answer && answer.Verdicts[0]?.Combined, combined);
    });

  const errors: [what: string, line: string, message: RegExp][] = [
    ['text that is no JSON', '{', /^not JSON: /],
    ['a member that is missing', '{"Pods":[],"Policies":[]}', /^the line must have required property 'Queries'/],
    ['a member of another type', asked({ ...query, From: 1 }), /^Queries\.0\.From must be string/],
    ['a pod that is not there', asked({ ...query, To: 'shop/dp' }), /^shop\/dp is no pod .*: did you mean shop\/db/],
    [
      'a policy that is not valid',
      JSON.stringify({ ...cluster, Policies: [{ metadata: { name: 'x' }, spec: { ingress: {} } }], Queries: [] }),
      /^NetworkPolicy default\/x: spec\.ingress: /,
    ],
    [
      'a pod that is there twice',
      JSON.stringify({ ...cluster, Pods: [...cluster.Pods, cluster.Pods[0]], Queries: [] }),
      /^Pod shop\/web is there twice/,
    ],
  ];
  for (const [what, line, message] of errors)
    it(`with ${what} is answered with an error`, () => {
      const answer = answerLine(line);
      assert.match('Error' in answer ? answer.Error : '', message);
    });
});

describe('podwall explain --batch', () => {
  const podwall = (input: string, ...args: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, '../main.ts'), ...args], { input, encoding: 'utf8' });

  it('goes on after an error, and says so by its exit code', () => {
    const { stdout, status } = podwall(`${asked(query)}\nnonsense\n\n${asked(query)}\n`, 'explain', '--batch');
    const kinds = stdout
      .trim()
      .split('\n')
      .map((line) => Object.keys(JSON.parse(line)).join());
    assert.deepEqual([kinds, status], [['Verdicts', 'Error', 'Verdicts'], 2]);
    assert.equal(podwall(asked(query), 'explain', '--batch').status, 0);
  });

  const commands: [words: string[], status: number, output: RegExp, errors: RegExp][] = [
    [['--help'], 0, /^Usage: podwall COMMAND/, /^$/],
    [['explain', '--help'], 0, /^Usage: podwall explain/, /^$/],
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
    [[], 2, /^$/, /^podwall: no command: try podwall explain\n/],
    [['explian'], 2, /^$/, /^podwall: explian is no command: try podwall explain\n/],
    [['explain', '--batch', '--json'], 2, /^$/, /^podwall: --batch goes with no other option/],
    [
      ['explain', '-f', '/none', '--from', 'a', '--to', 'b', '--port', '1'],
      2,
      /^$/,
      /^podwall: \/none can't be read: ENOENT/,
    ],
  ];
  for (const [words, status, output, errors] of commands)
    it(`podwall ${words.join(' ')}`, () => {
      const ended = podwall('', ...words);
      assert.equal(ended.status, status);
      assert.match(ended.stdout, output);
      assert.match(ended.stderr, errors);
    });
});
