import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { keys } from '@podwall/controller/api/keyspace.ts';
import { packAddress } from '@podwall/dp/protocol/address.ts';
import { Etcd } from '@podwall/e2e/etcd.ts';
import { ProtocolPeer } from './dp/protocol-peer.ts';
import { EtcdSession } from './store/session.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const NODE = 'n1';
const NAMESPACE = `podwall-test-agent-${process.pid}`;
const HOST_SIDE = `pwa${process.pid}`;
const MAC = '02:00:00:00:00:01';
const folder = mkdtempSync(join(tmpdir(), 'podwall-test-agent-'));
const path = (name: string): string => join(folder, name);

const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });

const resource = (to: string, generation: number) => ({
  ...{ uid: 'r1', kind: 'NetworkRule', namespace: 'shop', name: 'checkout', generation, tier: 200, priority: 100 },
  ...{ mode: 'Protect', defaultAction: 'deny', directions: ['egress'] },
  rules: [
    { name: 'db', direction: 'egress', from: 'nv.workload', to, ports: 'tcp/3306', action: 'allow', applications: [] },
  ],
});
const workload = { uid: 'w1', namespace: 'shop', name: 'checkout', resources: ['r1'], ports: {} };

class Agent implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly logged: Record<string, unknown>[] = [];
  #rest = '';

  constructor(etcd: Etcd) {
    const sockets = ['--dp', path('dp.sock'), '--notify', path('ctrl.sock'), '--resolver', '127.0.0.1:1'];
    const inputs = ['--node', NODE, '--etcd', etcd.url, '--workloads', `netns:${path('workloads.yaml')}`];
    this.process = spawn(process.execPath, [MAIN, ...inputs, ...sockets], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      this.logged.push(...lines.map((line) => JSON.parse(line)));
    });
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ code: number | null; tookMs: number }> {
    const startedAt = Date.now();
    const ended = once(this.process, 'exit');
    this.process.kill(signal);
    await ended;
    return { code: this.process.exitCode, tookMs: Date.now() - startedAt };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.end('SIGKILL');
  }
}

describe('an agent', { timeout: 60_000 }, () => {
  let etcd: Etcd;
  before(async () => {
    etcd = await Etcd.start();
    ip('netns', 'add', NAMESPACE);
    ip('link', 'add', HOST_SIDE, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NAMESPACE);
    ip('-n', NAMESPACE, 'link', 'set', 'eth0', 'address', MAC);
    ip('-n', NAMESPACE, 'addr', 'add', '10.9.9.2/24', 'dev', 'eth0');
    writeFileSync(path('workloads.yaml'), `- {namespace: shop, name: checkout, netns: /run/netns/${NAMESPACE}}\n`);
  });
  after(async () => {
    if (ip('netns', 'list').includes(NAMESPACE)) ip('netns', 'del', NAMESPACE);
    await etcd[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  async function write(values: Record<string, object>): Promise<void> {
    using session = new EtcdSession({ url: etcd.url });
    for (const [key, value] of Object.entries(values)) await session.put(key, JSON.stringify(value));
  }

  async function read(key: string): Promise<Record<string, unknown> | undefined> {
    using session = new EtcdSession({ url: etcd.url });
    const { entries } = await session.list({ key, isPrefix: false });
    return entries[0] && JSON.parse(entries[0].text);
  }

  async function until(isReached: () => boolean | Promise<boolean>, withinMs = 8000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!(await isReached())) {
      if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms`);
      await sleep(20);
    }
  }

  const rulesOf = (peer: ProtocolPeer): string[] =>
    peer.bodies('ctrl_cfg_policy').map(({ rules = [] }) => rules.map(({ dip, dipr }) => `${dip}-${dipr}`).join());
  const realized = async (): Promise<unknown> => (await read(keys.workloadReport(NODE, 'w1')))?.realized;
  const hits = async (): Promise<unknown> => (await read(keys.hitsReport(NODE, 'r1')))?.rules;

  it('puts rules in force and reports, survives etcd’s outage and its own death, and ends without a trace', async () => {
    using peer = new ProtocolPeer(path('dp.sock'), path('ctrl.sock'));
    const first = new Agent(etcd);

    await peer.until((peer) => peer.bodies('ctrl_add_mac').length === 1);
    assert.deepEqual(peer.bodies('ctrl_add_mac')[0]?.iface, HOST_SIDE);
    await until(async () => (await read(keys.agentReport(NODE)))?.dp === 'connected');
    assert.deepEqual(peer.bodies('ctrl_cfg_policy'), [], 'a workload that etcd does not know yet is left as it is');

    await write({
      [keys.groupMember('g1', 'p1')]: { ips: ['10.0.0.1'], ports: {} },
      [keys.rules('r1')]: resource('nv.group.g1', 1),
      [keys.workload(NODE, 'w1')]: workload,
    });
    await until(async () => JSON.stringify(await realized()) === '{"r1":1}');
    assert.deepEqual(rulesOf(peer), ['10.0.0.1-10.0.0.1']);
    const { time: _, ...agentReport } = (await read(keys.agentReport(NODE))) ?? {};
    assert.deepEqual(agentReport, { node: NODE, dp: 'connected', errors: [], reportsLost: 0 });
    const { realized: __, ...workloadReport } = (await read(keys.workloadReport(NODE, 'w1'))) ?? {};
    assert.deepEqual(workloadReport, { uid: 'w1', namespace: 'shop', name: 'checkout', mac: MAC, ips: ['10.9.9.2'] });

    const revision = peer.epoch;
    peer.report({ kind: 'ruleHits', mac: MAC, revision, rules: [{ ruleId: 1001, lastHitAt: 0, hits: 5n }] });
    const { etherType, bytes } = packAddress('10.9.9.2');
    peer.report({
      kind: 'threatLog',
      packet: Buffer.alloc(0),
      threat: {
        ...{ threatId: 1, reportedAt: 0, count: 3, action: 2, severity: 3, ipProtocol: 17, flags: 0, mac: MAC },
        ...{ etherType, source: bytes, destination: packAddress('8.8.8.8').bytes, sourcePort: 4000 },
        ...{ destinationPort: 53, icmpCode: 0, icmpType: 0, capturedBytes: 0, application: 0, packetBytes: 60 },
        ...{ ruleId: 0, revision, message: '' },
      },
    });
    const db = (count: number): string => JSON.stringify({ db: { hits: count, lastHit: new Date(0).toISOString() } });
    await until(async () => JSON.stringify(await hits()) === db(5));
    await until(async () => (await read(keys.threatsReport(NODE, 'r1')))?.packets === 3);
    const logged = first.logged.find(({ msg }) => msg === 'threat');
    assert.deepEqual(
      [logged?.level, logged?.workload, logged?.rule, logged?.destination, logged?.destinationPort, logged?.action],
      [40, 'shop/checkout', '(default)', '8.8.8.8', 53, 'deny'],
    );

    await etcd.stop();
    await sleep(300);
    await etcd.restart();
    await write({ [keys.groupMember('g1', 'p2')]: { ips: ['10.0.0.2'], ports: {} } });
    await until(() => rulesOf(peer).at(-1) === '10.0.0.1-10.0.0.2');
    assert.equal(rulesOf(peer).length, 2);

    await first.end('SIGKILL');
    assert(existsSync(path('ctrl.sock')));
    const second = new Agent(etcd);
    await until(() => rulesOf(peer).length === 3);
    peer.report({ kind: 'ruleHits', mac: MAC, revision, rules: [{ ruleId: 1001, lastHitAt: 0, hits: 9n }] });
    peer.report({
      kind: 'ruleHits',
      mac: MAC,
      revision: peer.epoch,
      rules: [{ ruleId: 1001, lastHitAt: 0, hits: 2n }],
    });
    await until(async () => JSON.stringify(await hits()) === db(7));

    const other = spawnSync(process.execPath, [MAIN, ...second.process.spawnargs.slice(2)], { encoding: 'utf8' });
    assert.deepEqual(
      [other.status, other.stderr],
      [1, `podwall-agent: another process reads from ${path('ctrl.sock')}: end it, or name another path\n`],
    );

    const { code, tookMs } = await second.end('SIGTERM');
    assert.equal(code, 0);
    assert(tookMs < 2000, `${tookMs} ms`);
    assert(!existsSync(path('ctrl.sock')));
    assert.equal(await read(keys.agentReport(NODE)), undefined);
    assert.deepEqual(
      peer.bodies('ctrl_cfg_policy').filter(({ cmd }) => cmd !== 1),
      [],
    );
    assert.deepEqual(peer.bodies('ctrl_del_mac'), []);
  });

  it('removes the policy of a workload that nothing selects, and the workload once its interface is gone', async () => {
    using peer = new ProtocolPeer(path('dp.sock'), path('ctrl.sock'));
    await write({ [keys.workload(NODE, 'w1')]: { ...workload, resources: [] } });
    await using _ = new Agent(etcd);
    await until(() => peer.bodies('ctrl_cfg_policy').some(({ cmd }) => cmd === 2));
    await until(async () => JSON.stringify(await realized()) === '{}');
    ip('link', 'del', HOST_SIDE);
    await until(() => peer.bodies('ctrl_del_mac').length === 1);
    await until(async () => (await read(keys.workloadReport(NODE, 'w1'))) === undefined);
  });

  it('is started only with a command line that it understands', () => {
    const run = (...args: readonly string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
    assert.match(run('--help').stdout, /^podwall-agent: .*\n\nusage: /);
    assert.match(run('--version').stdout, /^\d+\.\d+\.\d+\n$/);
    const { status, stderr } = run('--color', 'red');
    assert.deepEqual(
      [status, stderr],
      [2, "podwall-agent: Unknown option '--color'\npodwall-agent --help lists the options\n"],
    );
  });
});
