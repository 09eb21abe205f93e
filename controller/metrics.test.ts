// The controller's metrics and health, scraped from a controller over a folder with a real etcd.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Etcd, freePort } from '@podwall/e2e/etcd.ts';
import { hostOf, type MetricsAddress } from '@podwall/metrics/address.ts';
import { type Scraped, scrape } from '@podwall/metrics/scrape.ts';
import { keys } from './api/keyspace.ts';
import { ControllerProcess, until } from './controller-process.ts';
import { EtcdSession } from './etcd/session.ts';
import { CONTROLLER_METRICS, lacksOf, readController } from './metrics.ts';

const pod = (name: string, app: string, node: string) => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, uid: ${name}, labels: {app: ${app}}}
spec: {nodeName: ${node}}
`;
const FILES = {
  'web.yaml': `
apiVersion: podwall.io/v1alpha1
kind: NetworkRule
metadata: {name: web, namespace: shop, uid: web}
spec:
  selector: {matchLabels: {app: web}}
  egress:
    - {name: db, action: Allow, to: [{ip: 10.0.0.1}], ports: [tcp/5432]}
    - {name: cache, action: Allow, to: [{ip: 10.0.0.2}], ports: [tcp/6379]}
`,
  'policy.yaml': `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop, uid: closed}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}
`,
  'refused.yaml': `
apiVersion: podwall.io/v1alpha1
kind: NetworkRule
metadata: {name: refused, namespace: shop, uid: refused}
spec: {selector: {}, mode: Sometimes}
`,
  'pods.yaml': [pod('web-1', 'web', 'n1'), pod('web-2', 'web', 'n2'), pod('db-1', 'db', 'n3')].join('---'),
};

async function report(etcd: Etcd, values: Readonly<Record<string, object | null>>): Promise<void> {
  using session = new EtcdSession(etcd);
  await session.write(
    Object.entries(values).map(([key, value]) =>
      value ? { kind: 'put', key, value: JSON.stringify(value) } : { kind: 'delete', key },
    ),
  );
}

const agent = (node: string, dp: 'connected' | 'disconnected') => ({
  [keys.agentReport(node)]: { node, time: new Date().toISOString(), dp, errors: [], reportsLost: 0 },
});
const workload = (node: string, uid: string, realized: object) => ({
  [keys.workloadReport(node, uid)]: {
    ...{ uid, namespace: 'shop', name: uid, mac: '02:00:00:00:00:01', ips: [], realized },
  },
});

const condition = (scraped: Scraped, type: string, status: string): number =>
  scraped.value('podwall_controller_resource_conditions', { type, status });

describe('a controller with --metrics', () => {
  let etcd: Etcd;
  let controller: ControllerProcess;
  let at: MetricsAddress;
  before(async () => {
    etcd = await Etcd.start();
    at = { address: '127.0.0.1', port: await freePort() };
    controller = await ControllerProcess.start(etcd.url, FILES, ['--metrics', String(at.port)]);
  });
  after(async () => {
    await controller[Symbol.asyncDispose]();
    await etcd[Symbol.asyncDispose]();
  });

  const answer = async (path: string): Promise<[number, string] | undefined> => {
    const response = await fetch(`http://${hostOf(at)}${path}`).catch(() => undefined); // it may not listen yet
    return response && [response.status, await response.text()];
  };
  /** Waits for a value, and answers what was scraped with it. */
  const untilIs = (name: string, value: number, labels: Readonly<Record<string, string>> = {}): Promise<Scraped> =>
    until(async () => {
      const scraped = await scrape(at).catch(() => undefined); // as above
      return scraped?.value(name, labels) === value ? scraped : undefined;
    });

  it('becomes ready, and serves exactly the metrics of its table, with labels of the table', async () => {
    await until(async () => (await answer('/readyz'))?.[0] === 200);
    assert.deepEqual(await answer('/healthz'), [200, 'ok\n']);
    const own = (await scrape(at)).series.filter(({ name }) => name.startsWith('podwall_'));
    assert.deepEqual(new Set(own.map(({ name }) => name)), new Set(Object.keys(CONTROLLER_METRICS)));
    for (const { name, labels } of own) {
      const definition = CONTROLLER_METRICS[name as keyof typeof CONTROLLER_METRICS]; // as was just asserted
      const known: Readonly<Record<string, readonly string[]>> = 'labels' in definition ? definition.labels : {};
      for (const [label, value] of Object.entries(labels)) assert.ok(known[label]?.includes(value), `${name} ${value}`);
    }
  });

  it('counts what the folder declares, and what it published of it', async () => {
    const scraped = await untilIs('podwall_controller_etcd_keys', 5);
    const value = (name: string, labels = {}) => scraped.value(`podwall_controller_${name}`, labels);
    assert.equal(value('leading'), 1);
    assert.equal(value('resources', { kind: 'NetworkRule' }), 1);
    assert.equal(value('resources', { kind: 'NetworkPolicy' }), 1);
    assert.equal(value('resources', { kind: 'ClusterNetworkRule' }), 0);
    assert.equal(value('rules'), 3);
    assert.equal(value('refusals'), 1);
    assert.equal(value('pods'), 3);
    assert.equal(value('etcd_writes_total', { kind: 'put' }), 5);
    assert.equal(value('etcd_writes_total', { kind: 'delete' }), 0);
    assert.equal(value('etcd_connected'), 1);
    assert.equal(value('etcd_reconnects_total'), 0);
  });

  it('tells of what is in force where, as agents report it', async () => {
    const silent = await untilIs('podwall_controller_pods_selected', 2);
    assert.equal(silent.value('podwall_controller_nodes', { state: 'silent' }), 3);
    assert.equal(silent.value('podwall_controller_pods_programmed'), 0);
    assert.equal(silent.value('podwall_controller_generations_wanted'), 4);
    assert.equal(condition(silent, 'Accepted', 'False'), 1);
    assert.equal(condition(silent, 'Programmed', 'True'), 0);

    await report(etcd, {
      ...agent('n1', 'connected'),
      ...agent('n2', 'disconnected'),
      ...workload('n1', 'web-1', { web: 1, closed: 1 }),
      ...workload('n2', 'web-2', { web: 1 }),
    });
    const some = await untilIs('podwall_controller_generations_realized', 3);
    assert.equal(some.value('podwall_controller_pods_programmed'), 1);
    for (const [state, nodes] of Object.entries({ reporting: 1, without_dp: 1, silent: 1 }))
      assert.equal(some.value('podwall_controller_nodes', { state }), nodes, state);

    await report(etcd, { ...agent('n2', 'connected'), ...workload('n2', 'web-2', { web: 1, closed: 1 }) });
    const all = await untilIs('podwall_controller_pods_programmed', 2);
    assert.equal(all.value('podwall_controller_generations_realized'), 4);
    const shown = await untilIs('podwall_controller_resource_conditions', 2, { type: 'Programmed', status: 'True' });
    assert.equal(condition(shown, 'Accepted', 'True'), 2);
    assert.ok(shown.value('podwall_controller_status_writes_total') >= 3, 'one each at the least');

    await report(etcd, { [keys.agentReport('n1')]: null });
    await untilIs('podwall_controller_nodes', 2, { state: 'silent' });
  });

  it('counts deletions, once no file is wrong any more', async () => {
    await controller.remove('refused.yaml');
    await untilIs('podwall_controller_refusals', 0);
    await controller.remove('policy.yaml');
    const scraped = await untilIs('podwall_controller_resources', 0, { kind: 'NetworkPolicy' });
    assert.equal(scraped.value('podwall_controller_rules'), 2);
    await untilIs('podwall_controller_etcd_writes_total', 1, { kind: 'delete' });
  });

  it('says that it is not ready while etcd is away, and counts that it came back, once', async () => {
    await etcd.stop();
    await until(async () => (await answer('/readyz'))?.[0] === 503);
    assert.deepEqual(await answer('/readyz'), [503, 'etcd is not connected\n']);
    assert.deepEqual(await answer('/healthz'), [200, 'ok\n']);
    assert.equal((await scrape(at)).value('podwall_controller_etcd_connected'), 0);
    await etcd.restart();
    const back = await untilIs('podwall_controller_etcd_connected', 1);
    assert.equal(back.value('podwall_controller_etcd_reconnects_total'), 1);
    assert.deepEqual(await answer('/readyz'), [200, 'ok\n']);
  });

  it('stops without waiting for who asks', async () => {
    const { code, tookMs } = await controller.stop();
    assert.equal(code, 0);
    assert.ok(tookMs < 1500, `${tookMs} ms`);
    assert.equal(await answer('/healthz'), undefined);
  });
});

describe('a controller whose --metrics', () => {
  const run = (...options: readonly string[]) =>
    spawnSync(
      process.execPath,
      [
        join(import.meta.dirname, 'main.ts'),
        '--etcd',
        'http://127.0.0.1:1',
        '--source',
        import.meta.dirname,
        ...options,
      ],
      { encoding: 'utf8', timeout: 20_000 },
    );

  it('is no address is refused', () => {
    const { status, stderr } = run('--metrics', 'localhost:9470');
    assert.equal(status, 2);
    assert.match(stderr, /^podwall-controller: --metrics localhost:9470 is no address: give a port, as 9470/);
  });

  it('is taken ends with a word on what to do, before it does anything', async () => {
    await using other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const taken = other.address();
    assert.ok(taken && typeof taken === 'object');
    const { status, stderr } = run('--metrics', String(taken.port), '--log-level', 'silent');
    assert.equal(status, 1);
    assert.equal(
      stderr,
      `podwall-controller: --metrics 127.0.0.1:${taken.port}: another process listens there: give another port\n`,
    );
  });
});

describe('a controller that stands by', () => {
  const state = {
    declared: undefined,
    isActing: false,
    compiled: undefined,
    generations: new Map(),
    reports: { agents: new Map(), workloads: new Map() },
    statuses: [],
    etcd: { isConnected: true, reconnects: 0, keys: 0, puts: 0, deletions: 0 },
    statusWrites: 0,
    eventsDropped: 0,
  };

  it('is ready once the source was listed and etcd is connected', () => {
    const declared = { rules: [], pods: [], namespaces: [], nodes: [], refusals: [], unread: new Set<string>() };
    assert.deepEqual(lacksOf({ ...state, declared }), []);
    assert.deepEqual(lacksOf(state), ['the source was not listed yet']);
  });

  it('shows that it does not lead', () => {
    assert.equal(readController(state).podwall_controller_leading, 0);
  });
});
