import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { after, describe, it } from 'node:test';
import { explain } from './explain.ts';

const SHOP = `
kind: Namespace
apiVersion: v1
metadata: {name: shop, labels: {team: a}}
---
kind: List
apiVersion: v1
items:
  - {kind: Pod, apiVersion: v1, metadata: {name: web, namespace: shop, labels: {app: web}},
     spec: {nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.0.0.1}}
  - {kind: Pod, apiVersion: v1, metadata: {name: db, namespace: shop, labels: {app: db}}}
  - {kind: Pod, apiVersion: v1, metadata: {name: job, namespace: shop}, status: {phase: Succeeded, podIP: 10.0.0.3}}
  - {kind: Pod, apiVersion: v1, metadata: {name: cni, namespace: ops}, spec: {nodeName: n1, hostNetwork: true}, status: {podIP: 192.0.2.1}}
  - {kind: Pod, apiVersion: v1, metadata: {name: probe, namespace: ops, labels: {app: probe}}, status: {podIP: 10.0.0.9}}
  - {kind: Node, apiVersion: v1, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
`;
const RULES = `
kind: NetworkRule
apiVersion: podwall.io/v1alpha1
metadata: {name: checkout, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  egress:
    - {name: db, action: Allow, to: [{podSelector: {matchLabels: {app: db}}}], ports: [tcp/5432]}
    - {name: github, action: Allow, to: [{fqdn: api.github.com}], ports: [tcp/443], applications: [HTTPS]}
    - {name: no-telnet, action: Deny, ports: [tcp/23]}
---
kind: NetworkRule
apiVersion: podwall.io/v1alpha1
metadata: {name: watch, namespace: ops}
spec: {selector: {}, mode: Monitor, egress: [{name: no-dns, action: Deny, ports: [udp/53]}]}
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: default-deny, namespace: shop}
spec: {policyTypes: [Ingress]}
---
kind: Service
apiVersion: v1
metadata: {name: web}
`;

const folder = mkdtempSync(join(tmpdir(), 'podwall-explain-'));
writeFileSync(join(folder, 'shop.yaml'), SHOP);
writeFileSync(join(folder, 'rules.yml'), RULES);
writeFileSync(join(folder, 'shop.checkout.status.yaml'), RULES);
after(() => rmSync(folder, { recursive: true }));

/** Words of the command line, by spaces. */
async function run(words: string, input = '') {
  const written = { output: '', errors: '' };
  const into = (name: keyof typeof written) =>
    new Writable({
      write(chunk, _, done) {
        written[name] += chunk;
        done();
      },
    });
  const streams = { input: Readable.from([Buffer.from(input)]), output: into('output'), errors: into('errors') };
  const code = await explain(words.split(' '), streams);
  return { code, ...written };
}

const ask = (from: string, to: string, port: string, more = '') =>
  run(`-f ${folder} --from ${from} --to ${to} --port ${port}${more}`);
const json = async (...asked: Parameters<typeof ask>) =>
  JSON.parse((await ask(asked[0], asked[1], asked[2], ' --json')).output);

describe('podwall explain', () => {
  it('walks through the tiers of both sides', async () => {
    const { code, output, errors } = await ask('ops/probe', 'shop/db', 'tcp/5433');
    assert.equal(code, 1);
    assert.equal(errors, `podwall: left out: ${folder}/rules.yml: Service web\n`);
    assert.equal(
      output,
      `ops/probe → shop/db, tcp/5433: blocked
  from  ops/probe (app=probe; namespace labels none; 10.0.0.9)
  to    shop/db (app=db; namespace labels team=a; no address yet)

Egress of ops/probe: allowed
  ClusterNetworkRule  none selects it
  NetworkRule         ops/watch: no rule matches
  NetworkPolicy       none selects it
  default             allowed and reported as a violation (it is not in mode Protect): NetworkRule ops/watch

Ingress of shop/db: blocked
  ClusterNetworkRule  none selects it
  NetworkRule         none selects it
  NetworkPolicy       shop/db, shop/default-deny isolate it; no rule allows this
  default             denied: isolated by NetworkPolicy shop/db, NetworkPolicy shop/default-deny
  closest rule        NetworkPolicy shop/db: ingress[0]
                      from: it has app=web in namespaces with team=a, not ops/probe (app=probe; namespace labels none; 10.0.0.9)
                      ports: it has tcp/5432, not tcp/5433

Note: shop/db has no address yet: 198.18.0.2 stands in for it where a rule has addresses.
`,
    );
  });

  const rules: [from: string, to: string, port: string, code: number, verdict: string, rules: (string | null)[]][] = [
    [
      'shop/web',
      'shop/db',
      'tcp/5432',
      0,
      'allowed',
      ['NetworkRule shop/checkout: db', 'NetworkPolicy shop/db: ingress[0]'],
    ],
    ['shop/web', '10.0.0.9', '5432', 1, 'blocked', ['NetworkRule shop/checkout: (default)', null]],
    ['shop/web', '192.0.2.7', 'tcp/23', 1, 'blocked', ['NetworkRule shop/checkout: no-telnet', null]],
    ['ops/probe', '192.0.2.7', 'udp/53', 0, 'allowed', ['NetworkRule ops/watch: no-dns', null]],
    [
      'ops/probe',
      'shop/web',
      'http',
      1,
      'blocked',
      ['NetworkRule ops/watch: (default)', 'NetworkPolicy shop/default-deny: (default)'],
    ],
    ['192.0.2.7', 'shop/web', 'icmp', 1, 'blocked', [null, 'NetworkPolicy shop/default-deny: (default)']],
    ['ops/cni', 'shop/web', 'http', 0, 'allowed', [null, '(own node)']],
    ['shop/web', 'shop/web', 'tcp/1', 0, 'allowed', [null, null]],
  ];
  for (const [from, to, port, code, verdict, deciders] of rules)
    it(`says of ${from} → ${to}, ${port}, that it is ${verdict} by ${deciders.map((name) => name ?? 'none').join(' and ')}`, async () => {
      const report = await json(from, to, port);
      assert.equal(report.verdict, verdict);
      assert.deepEqual(
        [report.egress, report.ingress].map(({ decidedBy }) =>
          decidedBy.map((one: { rule: string }) => one.rule).join(),
        ),
        deciders.map((name) => name ?? ''),
      );
      assert.equal((await ask(from, to, port)).code, code);
    });

  it('names what isolates, and what of the closest rule does not match', async () => {
    const { ingress } = await json('shop/web', 'shop/db', 'tcp/80');
    assert.deepEqual(ingress.isolatedBy, ['NetworkPolicy shop/db', 'NetworkPolicy shop/default-deny']);
    assert.deepEqual(ingress.closest, {
      rule: 'NetworkPolicy shop/db: ingress[0]',
      mismatches: [{ field: 'ports', message: 'it has tcp/5432, not tcp/80' }],
    });
  });

  it('says on which application it depends, and takes the one that is named', async () => {
    const { output, code } = await ask('shop/web', 'api.github.com', '443');
    assert.match(output, /^shop\/web → api\.github\.com, tcp\/443: allowed, only if it speaks HTTPS\n/);
    assert.match(output, /NetworkRule {9}shop\/checkout, rule github: allowed, if it speaks HTTPS\n/);
    assert.match(output, /Note: no address of api\.github\.com is known here/);
    assert.equal(code, 0);
    assert.equal((await ask('shop/web', 'api.github.com', '443', ' --application https')).code, 0);
    assert.equal((await ask('shop/web', 'api.github.com', '443', ' --application SSH')).code, 1);
    assert.equal((await ask('shop/web', 'other.github.com', '443')).code, 1);
  });

  it('reads standard input, and several files', async () => {
    const { code } = await run(`-f - -f ${folder}/rules.yml --from shop/web --to shop/db --port 5432`, SHOP);
    assert.equal(code, 0);
  });

  const errors: [what: string, words: string, message: RegExp][] = [
    [
      'a pod that is not there',
      '--from shop/wep --to shop/db --port 1',
      /^shop\/wep is no pod .*: did you mean shop\/web/,
    ],
    ['a pod without its namespace', '--from web --to shop/db --port 1', /^web is no pod .*: did you mean shop\/web/],
    ['a pod that has ended', '--from shop/job --to shop/db --port 1', /^pod shop\/job has ended/],
    [
      'a domain name that sends',
      '--from a.example --to shop/db --port 1',
      /who opens a connection is a pod or an address/,
    ],
    [
      'a port’s name that the pod lacks',
      '--from shop/db --to shop/web --port https',
      /has no port named https: its named ports are http \(tcp\/8080\)$/,
    ],
    ['a port that is too high', '--from shop/db --to shop/web --port 65536', /^port 65536 is none: use 1 to 65535/],
    ['a protocol without its port', '--from shop/db --to shop/web --port tcp', /^tcp is no port: use tcp\/80/],
    ['a port of ICMP', '--from shop/db --to shop/web --port icmp/8', /^icmp has no ports/],
    ['ends of two families', '--from shop/db --to 2001:db8::1 --port 1', /have no address family in common/],
    [
      'an application that is none',
      '--from shop/db --to shop/web --port 1 --application FTP',
      /^FTP is no application: use HTTP,/,
    ],
    ['an option that is none', '--form shop/db', /^Unknown option '--form'/],
    ['no --to', '--from shop/db --port 1', /^--to is missing/],
  ];
  for (const [what, words, message] of errors)
    it(`says what to write instead of ${what}`, async () => {
      await assert.rejects(run(`-f ${folder} ${words}`), { message });
    });

  const bad: [what: string, text: string, message: RegExp][] = [
    [
      'a rule that is not valid',
      RULES.replace('tcp/5432', 'tcp/0'),
      /^bad\.yaml: NetworkRule shop\/checkout: spec\.egress\[0\]\.ports\[0\]/,
    ],
    [
      'a kind of ours in a version that is not',
      RULES.replace('podwall.io/v1alpha1', 'podwall.io/v1'),
      /apiVersion "podwall\.io\/v1" .* is not known/,
    ],
    ['text that is no YAML', 'a: [', /^bad\.yaml: document 1 is not YAML/],
    ['a resource that is there twice', `${RULES}---${RULES}`, /^bad\.yaml: NetworkRule shop\/checkout is already in /],
  ];
  for (const [what, text, message] of bad)
    it(`refuses ${what}`, async () => {
      const file = join(folder, '..', `${process.pid}-bad.yaml`);
      writeFileSync(file, text);
      try {
        await assert.rejects(run(`-f ${file} --from a/b --to c/d --port 1`), (error: Error) =>
          message.test(error.message.replaceAll(file, 'bad.yaml')),
        );
      } finally {
        rmSync(file);
      }
    });
});
