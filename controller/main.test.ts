import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Etcd } from '@podwall/e2e/etcd.ts';
import { keys, type PublishedResource, type PublishedWorkload, ROOT } from './api/keyspace.ts';
import type { NetworkRuleStatus } from './api/status.ts';
import { ControllerProcess, until } from './controller-process.ts';
import { EtcdSession } from './etcd/session.ts';

const run = promisify(execFile);

const rule = (name: string, port = 'tcp/80', more = '') => `
apiVersion: podwall.io/v1alpha1
kind: NetworkRule
metadata: {name: ${name}, namespace: shop, uid: ${name}}
spec:
  selector: {matchLabels: {app: web}}
  egress: [{name: db, action: Allow, to: [{podSelector: {matchLabels: {app: db}}}], ports: [${port}]}]
${more}`;
const pod = (name: string, app: string, node = 'n1') => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, uid: ${name}, labels: {app: ${app}}}
spec: {nodeName: ${node}}
`;
const FILES = { 'web.yaml': rule('web'), 'pods.yaml': `${pod('web-1', 'web')}---${pod('db-1', 'db')}` };

async function entriesOf(etcd: Etcd): Promise<Map<string, string>> {
  using session = new EtcdSession(etcd);
  const { entries } = await session.list(ROOT);
  return new Map([...entries].map(([key, { value }]) => [key, value]));
}

async function report(etcd: Etcd, values: Readonly<Record<string, object | null>>): Promise<void> {
  using session = new EtcdSession(etcd);
  await session.write(
    Object.entries(values).map(([key, value]) =>
      value ? { kind: 'put', key, value: JSON.stringify(value) } : { kind: 'delete', key },
    ),
  );
}

const portsOf = async (etcd: Etcd, uid: string): Promise<string | undefined> => {
  const value = (await entriesOf(etcd)).get(keys.rules(uid));
  const resource: PublishedResource | undefined = value === undefined ? undefined : JSON.parse(value);
  return resource?.rules[0]?.ports;
};

const agent = (node: string) => ({ node, time: new Date().toISOString(), dp: 'connected', errors: [], reportsLost: 0 });
const workload = (name: string, realized: object, ips: string[] = [], error?: string) => ({
  ...{ uid: name, namespace: 'shop', name, mac: '02:00:00:00:00:01', ips, realized },
  ...(error === undefined ? {} : { error }),
});

type StatusManifest = { readonly metadata: object; readonly status: NetworkRuleStatus };
const statusOf = async (controller: ControllerProcess, name: string) =>
  (await controller.read(`shop.${name}.status.yaml`)) as StatusManifest | undefined; // the controller's own writing
const programmed = (manifest: StatusManifest | undefined) =>
  manifest?.status.conditions.find(({ type }) => type === 'Programmed');

describe('the controller', { concurrency: true }, () => {
  it('publishes a folder, and writes only what changes', async () => {
    await using etcd = await Etcd.start();
    await using controller = await ControllerProcess.start(etcd.url, FILES);
    const before = await until(async () => {
      const entries = await entriesOf(etcd);
      return entries.has(keys.workload('n1', 'web-1')) && entries;
    });
    assert.deepEqual(
      [...before.keys()],
      [keys.workload('n1', 'db-1'), keys.workload('n1', 'web-1'), keys.rules('web')],
    );
    const web: PublishedWorkload = JSON.parse(before.get(keys.workload('n1', 'web-1')) ?? '');
    assert.deepEqual(web.resources, ['web']);

    using session = new EtcdSession(etcd);
    const first = (await session.list(ROOT)).entries;
    await controller.write('web.yaml', rule('web', 'tcp/81'));
    await until(async () => (await portsOf(etcd, 'web')) === 'tcp/81');
    const second = (await session.list(ROOT)).entries;
    const written = [...second].filter(([key, { revision }]) => first.get(key)?.revision !== revision);
    assert.deepEqual(
      written.map(([key]) => key),
      [keys.rules('web')],
    );

    await controller.remove('web.yaml');
    await until(async () => !(await entriesOf(etcd)).has(keys.rules('web')));
    assert.deepEqual(JSON.parse((await entriesOf(etcd)).get(keys.workload('n1', 'web-1')) ?? '').resources, []);
    assert.deepEqual(await controller.stop().then(({ code }) => code), 0);
    assert.ok(controller.lines.every(({ level }) => level !== 'error'));
  });

  it('makes pods members of groups by what agents report, also while an agent is away', async () => {
    await using etcd = await Etcd.start();
    await using controller = await ControllerProcess.start(etcd.url, FILES);
    await until(() => controller.events('published')[0]);
    const members = async () => [...(await entriesOf(etcd))].filter(([key]) => key.startsWith(keys.groupsPrefix));
    assert.deepEqual(await members(), []);
    await report(etcd, {
      [keys.agentReport('n1')]: agent('n1'),
      [keys.workloadReport('n1', 'db-1')]: workload('db-1', {}, ['10.0.0.7', 'fe80::7']),
    });
    const [[key, value] = ['', '']] = await until(async () => ((await members()).length > 0 ? members() : undefined));
    assert.match(key, /\/db-1$/);
    assert.deepEqual(JSON.parse(value), { ips: ['10.0.0.7'], ports: {} });

    await report(etcd, { [keys.workloadReport('n1', 'db-1')]: null, [keys.agentReport('n1')]: null });
    await until(() => controller.events('agent lost, what it enforced stays in force')[0]);
    await controller.stop();
    controller.run(); // neither this run nor the agent knows the address: only etcd does
    await controller.write('more.yaml', rule('more'));
    await until(async () => (await entriesOf(etcd)).has(keys.rules('more')));
    assert.deepEqual(await members(), [[key, value]]);
  });

  for (const [what, isWiped] of [
    ['stopped and started', false],
    ['wiped', true],
  ] as const) {
    it(`goes on after etcd was ${what}`, async () => {
      await using etcd = await Etcd.start();
      await using controller = await ControllerProcess.start(etcd.url, FILES);
      await until(async () => (await portsOf(etcd, 'web')) === 'tcp/80');
      if (isWiped) await etcd.wipe();
      else await etcd.stop('SIGKILL');
      await controller.write('web.yaml', rule('web', 'tcp/81'));
      await until(() => controller.events('etcd unavailable, trying on')[0]);
      await until(() => controller.events('rule file accepted').length === 3);
      await sleep(1000);
      await etcd.restart();
      await until(async () => (await portsOf(etcd, 'web')) === 'tcp/81');
      await until(async () => (await entriesOf(etcd)).has(keys.workload('n1', 'db-1')));
      await controller.write('web.yaml', rule('web', 'tcp/82'));
      await until(async () => (await portsOf(etcd, 'web')) === 'tcp/82');
      const value = JSON.parse((await entriesOf(etcd)).get(keys.rules('web')) ?? '');
      assert.equal(value.generation, 3);
    });
  }

  it('puts back what someone else deletes', async () => {
    await using etcd = await Etcd.start();
    await using controller = await ControllerProcess.start(etcd.url, FILES);
    await until(() => controller.events('published')[0]);
    await until(async () => (await portsOf(etcd, 'web')) === 'tcp/80');
    await report(etcd, { [keys.rules('web')]: null, [keys.workload('n1', 'web-1')]: null });
    await until(async () => {
      const entries = await entriesOf(etcd);
      return entries.has(keys.rules('web')) && entries.has(keys.workload('n1', 'web-1'));
    });
  });

  it('waits for an etcd that is not there yet', async () => {
    await using etcd = await Etcd.start();
    await etcd.stop();
    await using controller = await ControllerProcess.start(etcd.url, FILES);
    await until(() => controller.events('etcd unavailable, trying on')[0]);
    await etcd.restart();
    await until(async () => (await portsOf(etcd, 'web')) === 'tcp/80');
    await etcd.stop();
    const { code, tookMs } = await controller.stop('SIGINT');
    assert.equal(code, 0);
    assert.ok(tookMs < 2000, `${tookMs} ms`);
  });

  it('withdraws nothing while a file at its start is bad, and counts generations on', async () => {
    await using etcd = await Etcd.start();
    await using controller = await ControllerProcess.start(etcd.url, { ...FILES, 'other.yaml': rule('other') });
    await until(async () => (await portsOf(etcd, 'other')) === 'tcp/80');
    await controller.stop();
    await controller.write('other.yaml', rule('other', 'tcp/99999'));
    await controller.write('web.yaml', rule('web', 'tcp/81'));
    controller.run();
    await until(async () => (await portsOf(etcd, 'web')) === 'tcp/81');
    const entries = await entriesOf(etcd);
    assert.equal(JSON.parse(entries.get(keys.rules('web')) ?? '').generation, 2);
    assert.ok(entries.has(keys.rules('other')));
    assert.deepEqual(JSON.parse(entries.get(keys.workload('n1', 'web-1')) ?? '').resources, ['other', 'web']);
    const refused = await until(() => controller.events('rule file refused, what it had stays in force')[0]);
    assert.match(
      String(refused.errors),
      /^other\.yaml: NetworkRule shop\/other: spec\.egress\[0\]\.ports\[0\]: "tcp\/99999" is not a port/,
    );
    const status = await until(async () => {
      const manifest = await statusOf(controller, 'other');
      return manifest?.status.conditions[0]?.status === 'False' && manifest;
    });
    assert.equal(programmed(status)?.message, 'Generation 1, published earlier, stays in force.');

    await controller.write('other.yaml', '# no rule any more');
    await until(async () => !(await entriesOf(etcd)).has(keys.rules('other')));
    await until(async () => (await statusOf(controller, 'other')) === undefined);
  });

  it('shows in status and log what agents report', async () => {
    await using etcd = await Etcd.start();
    await using controller = await ControllerProcess.start(etcd.url, FILES);
    const silent = await until(() => statusOf(controller, 'web'));
    assert.partialDeepStrictEqual(programmed(silent), {
      status: 'Unknown',
      message: 'The agent does not report on node n1.',
    });
    assert.deepEqual(silent.metadata, { name: 'web', namespace: 'shop', generation: 1 });

    const reported = { [keys.agentReport('n1')]: agent('n1') };
    await report(etcd, { ...reported, [keys.workloadReport('n1', 'web-1')]: workload('web-1', {}, [], 'dp is full') });
    const failed = await until(async () => {
      const manifest = await statusOf(controller, 'web');
      return programmed(manifest)?.status === 'False' && manifest;
    });
    assert.equal(programmed(failed)?.message, 'node n1: shop/web-1: dp is full');

    const threat = {
      ...{
        time: '2026-01-01T00:00:00Z',
        id: 1,
        threat: 'Policy',
        severity: 'medium',
        action: 'deny',
        node: 'n1',
        count: 3,
      },
      ...{
        workload: 'shop/web-1',
        rule: '(default)',
        direction: 'egress',
        source: '10.0.0.1',
        destination: '10.0.0.2',
      },
      ...{ protocol: 'tcp', sourcePort: 1024, destinationPort: 6379, application: 'Redis' },
    };
    await report(etcd, {
      [keys.workloadReport('n1', 'web-1')]: workload('web-1', { web: 1 }),
      [keys.hitsReport('n1', 'web')]: { uid: 'web', rules: { db: { hits: 4, lastHit: '2026-01-01T00:00:01Z' } } },
      [keys.threatsReport('n1', 'web')]: { uid: 'web', packets: 3, reports: 1, last: [threat] },
    });
    const { status } = await until(async () => {
      const manifest = await statusOf(controller, 'web');
      return programmed(manifest)?.status === 'True' && manifest;
    });
    assert.deepEqual(
      [status.workloads, status.nodes],
      [
        { desired: 1, programmed: 1 },
        { desired: 1, programmed: 1 },
      ],
    );
    assert.deepEqual(status.rules[0], { name: 'db', hits: 4, lastHit: '2026-01-01T00:00:01Z' });
    assert.deepEqual(status.threats, { packets: 3, reports: 1, last: [threat] });
    assert.deepEqual(status.problems, []);
    const told = await until(() => controller.events('threat')[0]);
    assert.partialDeepStrictEqual(told, {
      ...{ level: 'warn', resource: 'NetworkRule shop/web', workload: 'shop/web-1', rule: '(default)', action: 'deny' },
      ...{ source: '10.0.0.1', destination: '10.0.0.2', destinationPort: 6379, application: 'Redis', count: 3 },
    });
    assert.partialDeepStrictEqual(controller.events('programmed'), [
      { resource: 'NetworkRule shop/web', generation: 1 },
    ]);
    assert.deepEqual(
      controller.events('agent found').map(({ node }) => node),
      ['n1'],
    );

    await controller.remove('web.yaml');
    await until(async () => (await statusOf(controller, 'web')) === undefined);
  });

  const usage: [what: string, args: string[], code: number, text: RegExp][] = [
    ['without --etcd', ['--source', '/tmp'], 2, /--etcd is missing: give a URL, as in/],
    [
      'with an empty --source',
      ['--etcd', 'http://127.0.0.1:1', '--source', ''],
      2,
      /--source is missing: give kubernetes, or a folder/,
    ],
    ['without --source', ['--etcd', 'http://127.0.0.1:1'], 2, /--source is missing: give kubernetes, or a folder/],
    [
      'with an etcd that is no address',
      ['--etcd', '127.0.0.1:1', '--source', '/tmp'],
      2,
      /is no address of etcd: give a URL, as in/,
    ],
    [
      'with a folder that is not there',
      ['--etcd', 'http://127.0.0.1:1', '--source', '/nowhere'],
      2,
      /\/nowhere is no folder: make it/,
    ],
    [
      'from Kubernetes by a kubeconfig that is not there',
      ['--etcd', 'http://127.0.0.1:1', '--source', 'kubernetes', '--kubeconfig', '/nowhere'],
      2,
      /--source kubernetes: .*\/nowhere/,
    ],
    [
      'from Kubernetes with a folder for status',
      ['--etcd', 'http://127.0.0.1:1', '--source', 'kubernetes', '--status-dir', '/tmp'],
      2,
      /--status-dir is for a folder only/,
    ],
    [
      'with a flag that is not known',
      ['--etc', 'x'],
      2,
      /^podwall-controller: Unknown option '--etc'\npodwall-controller --help lists the options\n$/,
    ],
    ['for help', ['--help'], 0, /^Usage: podwall-controller --etcd URL --source kubernetes\|DIR/],
    ['for its version', ['--version'], 0, /^\d+\.\d+\.\d+\n$/],
  ];
  for (const [what, args, code, text] of usage) {
    it(`called ${what} says so and exits with ${code}`, async () => {
      const main = [`${import.meta.dirname}/main.ts`, ...args];
      const result = await run(process.execPath, main).then(
        ({ stdout }) => ({ code: 0, text: stdout }),
        (error: { code: number; stderr: string }) => ({ code: error.code, text: error.stderr }),
      );
      assert.equal(result.code, code);
      assert.match(result.text, text);
    });
  }
});
