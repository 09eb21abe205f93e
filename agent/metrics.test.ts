// The agent's metrics and health, scraped from an agent with a real etcd and a real interface; dp is played, to say what it likes.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@podwall/controller/api/keyspace.ts';
import { packAddress } from '@podwall/dp/protocol/address.ts';
import { SEVERITY, type Severity } from '@podwall/dp/protocol/threats.ts';
import { Etcd, freePort } from '@podwall/e2e/etcd.ts';
import { hostOf, type MetricsAddress } from '@podwall/metrics/address.ts';
import { type Scraped, scrape } from '@podwall/metrics/scrape.ts';
import { ProtocolPeer } from './dp/protocol-peer.ts';
import { AGENT_METRICS } from './metrics.ts';
import { EtcdSession } from './store/session.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const NODE = 'n1';
const NAMESPACE = `podwall-test-measured-${process.pid}`;
const HOST_SIDE = `pwm${process.pid}`;
const MAC = '02:00:00:00:00:01';
const folder = mkdtempSync(join(tmpdir(), 'podwall-test-measured-'));
const path = (name: string): string => join(folder, name);
const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });

const resource = (generation: number, port: number) => ({
  ...{ uid: 'r1', kind: 'NetworkRule', namespace: 'shop', name: 'checkout', generation, tier: 200, priority: 100 },
  ...{ mode: 'Protect', defaultAction: 'deny', directions: ['egress'] },
  rules: [
    ...[`tcp/${port}`, 'udp/53'].map((ports, i) => ({
      ...{ name: `rule-${i}`, direction: 'egress', from: 'nv.workload', to: 'nv.ip.10.0.0.1', ports },
      ...{ action: 'allow', applications: [] },
    })),
  ],
});
const workload = (resources: readonly string[]) => ({
  ...{ uid: 'w1', namespace: 'shop', name: 'checkout', resources, ports: {} },
});

describe('an agent with --metrics', { timeout: 120_000 }, () => {
  let etcd: Etcd;
  let peer: ProtocolPeer;
  let agent: ChildProcess;
  let at: MetricsAddress;
  const options = () => [
    ...[MAIN, '--node', NODE, '--etcd', etcd.url, '--workloads', `netns:${path('workloads.yaml')}`],
    ...['--dp', path('dp.sock'), '--notify', path('ctrl.sock'), '--resolver', '127.0.0.1:1', '--log-level', 'error'],
  ];

  before(async () => {
    etcd = await Etcd.start();
    at = { address: '127.0.0.1', port: await freePort() };
    ip('netns', 'add', NAMESPACE);
    ip('link', 'add', HOST_SIDE, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NAMESPACE);
    ip('-n', NAMESPACE, 'link', 'set', 'eth0', 'address', MAC);
    ip('-n', NAMESPACE, 'addr', 'add', '10.9.9.2/24', 'dev', 'eth0');
    writeFileSync(path('workloads.yaml'), `- {namespace: shop, name: checkout, netns: /run/netns/${NAMESPACE}}\n`);
    agent = spawn(process.execPath, [...options(), '--metrics', String(at.port)], { stdio: 'inherit' });
  });
  after(async () => {
    agent.kill('SIGKILL');
    peer?.[Symbol.dispose]();
    if (ip('netns', 'list').includes(NAMESPACE)) ip('netns', 'del', NAMESPACE);
    await etcd[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const answer = async (path: string): Promise<[number, string] | undefined> => {
    const response = await fetch(`http://${hostOf(at)}${path}`).catch(() => undefined); // it may not listen yet
    return response && [response.status, await response.text()];
  };

  async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
    for (const deadline = Date.now() + 20_000; ; await sleep(20)) {
      const found = await look();
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`not within 20 s: ${look}`);
    }
  }

  const untilIs = (name: string, value: number, labels: Readonly<Record<string, string>> = {}): Promise<Scraped> =>
    until(async () => {
      const scraped = await scrape(at).catch(() => undefined); // it may not listen yet
      return scraped?.value(`podwall_agent_${name}`, labels) === value && scraped;
    });

  /** Waits until the workload's report in etcd has this in it. */
  const untilReported = (text: string): Promise<boolean> =>
    until(async () => {
      using session = new EtcdSession({ url: etcd.url });
      const { entries } = await session.list({ key: keys.workloadReport(NODE, 'w1'), isPrefix: false });
      return entries[0]?.text.includes(text);
    });

  async function write(values: Record<string, object>): Promise<void> {
    using session = new EtcdSession({ url: etcd.url });
    for (const [key, value] of Object.entries(values)) await session.put(key, JSON.stringify(value));
  }

  const threat = (severity: Severity, count: number): void => {
    const { etherType, bytes } = packAddress('10.9.9.2');
    peer.report({
      kind: 'threatLog',
      packet: Buffer.alloc(0),
      threat: {
        ...{ threatId: 1, reportedAt: 0, count, action: 2, severity: SEVERITY[severity], ipProtocol: 17, flags: 0 },
        ...{ mac: MAC, etherType, source: bytes, destination: packAddress('8.8.8.8').bytes, sourcePort: 4000 },
        ...{ destinationPort: 53, icmpCode: 0, icmpType: 0, capturedBytes: 0, application: 0, packetBytes: 60 },
        ...{ ruleId: 0, revision: peer.epoch, message: '' },
      },
    });
  };

  it('says what it lacks until dp answers and etcd was listed', async () => {
    const missing = await until(async () => {
      const found = await answer('/readyz');
      return found?.[1] === 'dp does not answer\n' && found;
    });
    assert.equal(missing[0], 503);
    assert.deepEqual(await answer('/healthz'), [200, 'ok\n']);
    peer = new ProtocolPeer(path('dp.sock'), path('ctrl.sock'));
    await until(async () => (await answer('/readyz'))?.[0] === 200);
  });

  it('serves exactly the metrics of its table, with labels of the table', async () => {
    const own = (await scrape(at)).series.filter(({ name }) => name.startsWith('podwall_'));
    const names = own.map(({ name }) => name.replace(/_(bucket|sum|count)$/, ''));
    assert.deepEqual(new Set(names), new Set(Object.keys(AGENT_METRICS)));
    for (const { name, labels } of own.filter((series) => !('le' in series.labels))) {
      const definition = AGENT_METRICS[name as keyof typeof AGENT_METRICS]; // as was just asserted, but for the histogram
      const known: Readonly<Record<string, readonly string[]>> =
        definition && 'labels' in definition ? definition.labels : {};
      for (const [label, value] of Object.entries(labels)) assert.ok(known[label]?.includes(value), `${name} ${value}`);
    }
  });

  it('counts workloads, and a policy once dp has confirmed it', async () => {
    const waiting = await untilIs('workloads_waiting', 1);
    assert.equal(waiting.value('podwall_agent_workloads'), 1);
    assert.equal(waiting.value('podwall_agent_workloads_selected'), 0);
    assert.equal(waiting.value('podwall_agent_policy_latency_seconds_count'), 0);

    await write({ [keys.rules('r1')]: resource(1, 3306), [keys.workload(NODE, 'w1')]: workload(['r1']) });
    const first = await untilIs('workloads_programmed', 1);
    assert.equal(first.value('podwall_agent_workloads_selected'), 1);
    assert.equal(first.value('podwall_agent_workloads_waiting'), 0);
    assert.equal(first.value('podwall_agent_resources'), 1);
    assert.equal(first.value('podwall_agent_rules'), 2);
    assert.equal(first.value('podwall_agent_generations_wanted'), 1);
    assert.equal(first.value('podwall_agent_generations_realized'), 1);
    assert.equal(first.value('podwall_agent_policy_latency_seconds_count'), 1);
    const seconds = first.value('podwall_agent_policy_latency_seconds_sum');
    assert.ok(seconds > 0 && seconds < 30, `${seconds} s`);
    assert.equal(first.value('podwall_agent_policy_latency_seconds_bucket', { le: '30' }), 1);

    await write({ [keys.rules('r1')]: resource(2, 3307) });
    const second = await untilIs('policy_latency_seconds_count', 2);
    assert.equal(second.value('podwall_agent_generations_realized'), 1);
    await write({ [keys.rules('r1')]: resource(3, 3307) });
    await untilReported('"r1":3');
    const same = await scrape(at);
    assert.equal(same.value('podwall_agent_generations_realized'), 1);
    assert.equal(same.value('podwall_agent_policy_latency_seconds_count'), 2, 'dp had nothing to confirm');
    assert.ok(same.value('podwall_agent_etcd_writes_total') > 0);
  });

  it('counts threats by severity, and the packets that they stand for', async () => {
    threat('medium', 3);
    threat('medium', 1);
    threat('high', 5);
    const scraped = await untilIs('threats_total', 3);
    for (const [severity, reports, packets] of [
      ['medium', 2, 4],
      ['high', 1, 5],
      ['low', 0, 0],
    ] as const) {
      assert.equal(scraped.value('podwall_agent_threats_total', { severity }), reports);
      assert.equal(scraped.value('podwall_agent_threat_packets_total', { severity }), packets);
    }
  });

  it('counts that etcd came back, once, and stays ready meanwhile', async () => {
    assert.equal((await scrape(at)).value('podwall_agent_etcd_reconnects_total'), 0);
    await etcd.stop();
    await untilIs('etcd_connected', 0);
    assert.deepEqual(await answer('/readyz'), [200, 'ok\n']);
    await etcd.restart();
    const back = await untilIs('etcd_connected', 1);
    assert.equal(back.value('podwall_agent_etcd_reconnects_total'), 1);
  });

  it('counts that dp came back, and nothing twice of what is told it again', async () => {
    const before = await scrape(at);
    assert.equal(before.value('podwall_agent_dp_reconnects_total'), 0);
    peer[Symbol.dispose]();
    await untilIs('dp_connected', 0);
    assert.deepEqual(await answer('/readyz'), [503, 'dp does not answer\n']);
    peer = new ProtocolPeer(path('dp.sock'), path('ctrl.sock'));
    const back = await untilIs('dp_connected', 1);
    assert.equal(back.value('podwall_agent_dp_reconnects_total'), 1);
    await until(async () => peer.bodies('ctrl_cfg_policy').length > 0);
    await write({ [keys.rules('r1')]: resource(4, 3308) });
    await untilReported('"r1":4');
    assert.equal((await scrape(at)).value('podwall_agent_policy_latency_seconds_count'), 3);
  });

  it('needs its address for itself', () => {
    const taken = spawnSync(process.execPath, [...options(), '--metrics', String(at.port)], { encoding: 'utf8' });
    assert.equal(taken.status, 1);
    assert.equal(
      taken.stderr,
      `podwall-agent: --metrics 127.0.0.1:${at.port}: another process listens there: give another port\n`,
    );
  });

  it('ends at once, and its address is free again', async () => {
    const ended = once(agent, 'exit');
    agent.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    await using free = createServer().listen(at.port, at.address);
    await once(free, 'listening');
  });
});
