// Metrics of all three processes at work together, against what a workload's real connections did. Needs root.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scraped } from '@podwall/metrics/scrape.ts';
import { stringify } from 'yaml';
import { Lab } from './lab/lab.ts';
import { METRICS_PORT, NODE, startPodwall } from './lab/podwall.ts';
import { waitFor } from './lab/wait.ts';

type Process = keyof typeof METRICS_PORT;

const PEER_IP = '10.20.30.40';
const WORKLOAD = { name: 'client', ip: '192.168.1.100', mac: 'aa:bb:cc:dd:ee:ff', hostInterface: 'veth-client' };
const PORT = { allowed: 8080, denied: 8081 } as const;
const ALLOWED = 3;
const DENIED = 4;
const SERVER = `for (const port of [${Object.values(PORT)}])
  require('node:net').createServer((socket) => socket.end('answer')).listen(port, () => console.log(port));`;
const CONNECT_TIMEOUT_MS = 1500;
const SETTLE_TIMEOUT_MS = 30_000;
const RULE = { namespace: 'shop', name: 'talk' } as const;

const pod = stringify({
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: { namespace: 'shop', name: WORKLOAD.name, labels: { app: 'client' } },
  spec: { nodeName: NODE },
});
const rule = stringify({
  ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: RULE },
  spec: {
    selector: { matchLabels: { app: 'client' } },
    egress: [{ name: 'web', action: 'Allow', to: [{ ip: PEER_IP }], ports: [`tcp/${PORT.allowed}`] }],
  },
});

test('the metrics of a node', { timeout: 300_000 }, async (t) => {
  await using lab = await Lab.create();
  const netns = await lab.addWorkload(WORKLOAD);
  const peer = await lab.addPeer({ name: 'peer', ips: [PEER_IP] });
  const server = await lab.start('server', peer, [process.execPath, '-e', SERVER]);
  const until = <T>(what: string, look: () => Promise<T | undefined>): Promise<T> =>
    waitFor(what, look, { timeoutMs: SETTLE_TIMEOUT_MS, signal: lab.signal });
  await until('the server', async () => ((await server.log()).includes(`${PORT.denied}`) ? true : undefined));
  const podwall = await startPodwall(lab, {
    pods: [{ namespace: 'shop', name: WORKLOAD.name, netns, interface: 'eth0' }],
    resolver: '127.0.0.1',
    isMeasured: true,
  });

  const get = async (of: Process, path: string): Promise<string> =>
    (await lab.run(lab.node, ['curl', '-s', '-m', '5', `http://127.0.0.1:${METRICS_PORT[of]}${path}`])).stdout;
  const scrape = async (of: Process): Promise<Scraped> => new Scraped(await get(of, '/metrics'));
  /** Waits until a metric has a value, and answers what was scraped then. */
  const untilIs = (of: Process, name: string, value: number, labels: Readonly<Record<string, string>> = {}) =>
    until(`podwall_${of}_${name} to be ${value}`, async () => {
      const scraped = await scrape(of);
      const isThere = scraped.series.length > 0 && scraped.value(`podwall_${of}_${name}`, labels) === value;
      return isThere ? scraped : undefined;
    });
  const connects = async (port: number): Promise<boolean> => {
    const client = ['bash', '-c', `exec 3<>/dev/tcp/${PEER_IP}/${port} && cat <&3`] as const;
    return (await lab.run(netns, client, { timeoutMs: CONNECT_TIMEOUT_MS })).stdout === 'answer';
  };
  const verdicts = (scraped: Scraped, action: string) => scraped.value('podwall_dp_verdicts_total', { action });

  await t.test('say that each process is ready', async () => {
    for (const part of ['controller', 'agent', 'dp'] as const)
      await until(`${part} to be ready`, async () => ((await get(part, '/readyz')) === 'ok\n' ? true : undefined));
  });

  await t.test('tell of a rule in force, at every station of its way', async () => {
    await podwall.rules.write('pod.yaml', pod);
    await podwall.rules.apply('rule.yaml', rule, RULE);
    const controller = await untilIs('controller', 'pods_programmed', 1);
    assert.equal(controller.value('podwall_controller_pods_selected'), 1);
    assert.equal(controller.value('podwall_controller_generations_realized'), 1);
    assert.equal(controller.value('podwall_controller_nodes', { state: 'reporting' }), 1);
    const agent = await scrape('agent');
    assert.equal(agent.value('podwall_agent_workloads_programmed'), 1);
    assert.ok(agent.value('podwall_agent_policy_latency_seconds_count') >= 1);
    const dp = await scrape('dp');
    assert.equal(dp.value('podwall_dp_workloads', { state: 'policed' }), 1);
    assert.equal(dp.value('podwall_dp_rules'), agent.value('podwall_agent_rules'));
  });

  await t.test('count the connections that were allowed, and those that were denied', async () => {
    const before = await scrape('dp');
    for (let i = 0; i < ALLOWED; i++) assert.ok(await connects(PORT.allowed));
    for (let i = 0; i < DENIED; i++) assert.ok(!(await connects(PORT.denied)));
    const after = await scrape('dp');
    assert.equal(verdicts(after, 'allow') - verdicts(before, 'allow'), ALLOWED);
    assert.equal(verdicts(after, 'deny') - verdicts(before, 'deny'), DENIED);
    const dropped = after.value('podwall_dp_dropped_packets_total', { reason: 'policy' });
    assert.ok(dropped >= DENIED, `${dropped} packets`);
    assert.equal(after.value('podwall_dp_dropped_packets_total'), dropped, 'for no other reason');
  });

  await t.test('count threats as the rule’s status does', async () => {
    const threats = await until('the threats', async () => {
      const status = await podwall.rules.status(RULE);
      return status.threats.length >= DENIED ? status.threats : undefined;
    });
    const agent = await scrape('agent');
    assert.equal(agent.value('podwall_agent_threats_total', { severity: 'medium' }), threats.length);
    assert.equal(agent.value('podwall_agent_threats_total'), threats.length);
  });

  await t.test('count that etcd came back', async () => {
    await podwall.etcd.stop();
    await untilIs('agent', 'etcd_connected', 0);
    await untilIs('controller', 'etcd_connected', 0);
    await podwall.etcd.start();
    for (const part of ['agent', 'controller'] as const) {
      const back = await untilIs(part, 'etcd_connected', 1);
      assert.equal(back.value(`podwall_${part}_etcd_reconnects_total`), 1);
    }
  });

  await t.test('count that dp came back, and go on with what the kernel counts', async () => {
    const before = await scrape('dp');
    await podwall.dp.stop('SIGKILL');
    await podwall.dp.start();
    const agent = await untilIs('agent', 'dp_reconnects_total', 1);
    assert.equal(agent.value('podwall_agent_reports_lost_total'), 0);
    const dp = await untilIs('dp', 'rules', before.value('podwall_dp_rules'));
    assert.equal(verdicts(dp, 'deny'), verdicts(before, 'deny'));
    assert.ok(!(await connects(PORT.denied)));
    assert.equal(verdicts(await scrape('dp'), 'deny'), verdicts(before, 'deny') + 1);
  });
});
