// NetworkPolicies on real packets: pods by label, a port by its name, the tier above, and the pods' own node. Needs root.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { Lab } from './lab/lab.ts';
import type { Namespace } from './lab/namespace.ts';
import { NODE, startPodwall } from './lab/podwall.ts';
import type { RuleName } from './lab/rule-folder.ts';
import { waitFor } from './lab/wait.ts';

const NO_NAMES_LOOKED_UP = '127.0.0.1';
const CONNECT_TIMEOUT_MS = 1500;
const CHANGE_TIMEOUT_MS = 20_000;
const PORT = { http: 8080, other: 8081 } as const;
const SERVER = `for (const port of [${Object.values(PORT)}])
  require('node:net').createServer((socket) => socket.end('answer')).listen(port, () => console.log(port));`;

const podOf = (name: string, ip: string, index: number) => ({
  name,
  ip,
  mac: `aa:bb:cc:dd:ee:0${index}`,
  hostInterface: `veth-${name}`,
});
const PODS = [
  podOf('web', '192.168.1.100', 1),
  podOf('client', '192.168.1.101', 2),
  podOf('other', '192.168.1.102', 3),
];
const [WEB] = PODS;

const podManifests = (labels: Readonly<Record<string, string>>): string =>
  PODS.map(({ name }) =>
    stringify({
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { namespace: 'shop', name, labels: { app: labels[name] ?? name } },
      spec: { nodeName: NODE, containers: [{ ports: [{ name: 'http', containerPort: PORT.http }] }] },
    }),
  ).join('---\n');

const policy = stringify({
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'shop', name: 'web' } },
  spec: {
    podSelector: { matchLabels: { app: 'web' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ port: 'http' }] }],
  },
});
/** As its status file is called. */
const POLICY: RuleName = { namespace: '_networkpolicy.shop', name: 'web' };
const rule = (action: 'Allow' | 'Deny', port: number): string =>
  stringify({
    ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: { namespace: 'shop', name: 'above' } },
    spec: { selector: { matchLabels: { app: 'web' } }, ingress: [{ name: 'above', action, ports: [`tcp/${port}`] }] },
  });
const RULE: RuleName = { namespace: 'shop', name: 'above' };

test('a NetworkPolicy in a folder', { timeout: 300_000 }, async (t) => {
  await using lab = await Lab.create();
  const namespaces = new Map<string, Namespace>([['node', lab.node]]);
  for (const pod of PODS) namespaces.set(pod.name, await lab.addWorkload(pod));
  // Pods are of one subnet, each behind a link of its own: the node answers for the others.
  await lab.run(lab.node, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/proxy_arp']);
  const web = namespaces.get('web') ?? assert.fail();
  const server = await lab.start('server', web, [process.execPath, '-e', SERVER]);
  const listens = async () => ((await server.log()).includes(`${PORT.other}`) ? true : undefined);
  await waitFor('the server', listens, { timeoutMs: CHANGE_TIMEOUT_MS, signal: lab.signal });
  const podwall = await startPodwall(lab, {
    pods: PODS.map(({ name }) => ({
      namespace: 'shop',
      name,
      netns: namespaces.get(name) ?? assert.fail(),
      interface: 'eth0',
    })),
    resolver: NO_NAMES_LOOKED_UP,
  });
  await podwall.rules.write('pods.yaml', podManifests({}));

  const answers = async (from: string, port: number): Promise<boolean> => {
    const client = ['bash', '-c', `exec 3<>/dev/tcp/${WEB?.ip}/${port} && cat <&3`] as const;
    const { stdout } = await lab.run(namespaces.get(from) ?? assert.fail(), client, { timeoutMs: CONNECT_TIMEOUT_MS });
    return stdout === 'answer';
  };
  const answered = async (): Promise<string[]> => {
    const asked = [...namespaces.keys()]
      .filter((name) => name !== 'web')
      .flatMap((from) =>
        Object.entries(PORT).map(async ([name, port]) => ((await answers(from, port)) ? `${from} ${name}` : undefined)),
      );
    return (await Promise.all(asked)).filter((name) => name !== undefined).sort();
  };
  /** Of what changes pods alone no status tells when it is in force. */
  const until = (from: string, port: number, isAnswered: boolean) =>
    waitFor(
      `${from} ${isAnswered ? 'to be' : 'not to be'} answered`,
      async () => ((await answers(from, port)) === isAnswered ? true : undefined),
      { timeoutMs: CHANGE_TIMEOUT_MS, signal: lab.signal },
    );

  await t.test('before, everybody is answered', async () => {
    assert.deepEqual(await answered(), [
      'client http',
      'client other',
      'node http',
      'node other',
      'other http',
      'other other',
    ]);
  });

  await t.test('lets in whom it names, at the port that it names, and the pod’s own node', async () => {
    await podwall.rules.apply('policy.yaml', policy, POLICY);
    await until('client', PORT.http, true);
    assert.deepEqual(await answered(), ['client http', 'node http', 'node other']);
  });

  await t.test('has its hits and what it kept out in its status', async () => {
    const { rules, threats } = await waitFor(
      'hits and threats in the status',
      async () => {
        const status = await podwall.rules.status(POLICY);
        return status.rules.every(({ hits }) => hits > 0) && status.threats.length > 0 ? status : undefined;
      },
      { timeoutMs: CHANGE_TIMEOUT_MS, signal: lab.signal },
    );
    assert.deepEqual(
      rules.map(({ name }) => name),
      ['ingress[0]', '(default)'],
    );
    assert.ok(threats.every((threat) => threat.rule === '(default)' && threat.workload === 'shop/web'));
  });

  await t.test('follows a pod’s labels', async () => {
    await podwall.rules.write('pods.yaml', podManifests({ client: 'other', other: 'client' }));
    await until('other', PORT.http, true);
    await until('client', PORT.http, false);
    assert.deepEqual(await answered(), ['node http', 'node other', 'other http']);
  });

  await t.test('comes after a rule that denies or allows, and before its default action', async () => {
    await podwall.rules.apply('rule.yaml', rule('Deny', PORT.http), RULE);
    assert.deepEqual(await answered(), ['node http', 'node other']);
    await podwall.rules.apply('rule.yaml', rule('Allow', PORT.other), RULE);
    assert.deepEqual(await answered(), ['client other', 'node http', 'node other', 'other http', 'other other']);
  });

  await t.test('leaves no trace once it is gone', async () => {
    await podwall.rules.remove('rule.yaml');
    await podwall.rules.remove('policy.yaml');
    await until('client', PORT.http, true);
    await until('client', PORT.other, true);
  });
});
