// dp's metrics, scraped from a dp with real traffic: what they say against what was done.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Scraped } from '@podwall/metrics/scrape.ts';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, CONTROL_RULES, DEL_MAC, policy } from './lab/commands.ts';
import { DpProcess } from './lab/dp-process.ts';
import { sendFrames } from './lab/frames.ts';
import { HOST, Lab } from './lab/lab.ts';
import { sendLarge } from './lab/large.ts';
import type { Traffic } from './lab/traffic.ts';
import { DP_METRICS } from './metrics.ts';
import { ACTION } from './protocol/values.ts';

const WHERE = '127.0.0.1:9472';
const PASSES = 7001;
const DENIED = [7002, 7003] as const;
/** Everything else passes, so that what the kernel sends of itself over IPv6 is denied nowhere. */
const RULES = [
  ...CONTROL_RULES,
  rule({ id: 1001, ports: `udp/${PASSES}` }),
  ...DENIED.map((port, i) => rule({ id: 1002 + i, ports: `udp/${port}`, action: ACTION.deny })),
];

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

const curl = async (path: string, ...options: readonly string[]): Promise<string> => {
  const command = [`--net=${lab.host}`, '--', 'curl', '-sS', '--max-time', '10', ...options, `http://${WHERE}${path}`];
  return (await promisify(execFile)('nsenter', command)).stdout;
};
const scrape = async (): Promise<Scraped> => new Scraped(await curl('/metrics'));

const verdicts = (scraped: Scraped, action: string): number =>
  scraped.value('podwall_dp_verdicts_total', { action, by: 'kernel' });
const dropped = (scraped: Scraped, reason: string): number =>
  scraped.value('podwall_dp_dropped_packets_total', { reason, by: 'kernel' });

describe('a dp with --metrics', () => {
  let dp: DpProcess;
  let agent: Agent;
  let traffic: Traffic;
  before(async () => {
    execFileSync('nsenter', [`--net=${lab.host}`, '--', 'ip', 'link', 'set', 'lo', 'up']);
    dp = await lab.start('--metrics', WHERE);
    agent = lab.agent();
    traffic = await lab.traffic();
    await agent.send(ADD_MAC);
    await agent.settled();
  });

  it('serves exactly the metrics of its table, each label with values of the table', async () => {
    const { series } = await scrape();
    const own = series.filter(({ name }) => name.startsWith('podwall_'));
    assert.deepEqual(new Set(own.map(({ name }) => name)), new Set(Object.keys(DP_METRICS)));
    for (const { name, labels } of own) {
      const definition = DP_METRICS[name as keyof typeof DP_METRICS]; // as was just asserted
      const known: Readonly<Record<string, readonly string[]>> = 'labels' in definition ? definition.labels : {};
      for (const [label, value] of Object.entries(labels)) assert.ok(known[label]?.includes(value), `${name} ${value}`);
    }
  });

  it('is alive and ready', async () => {
    assert.equal(await curl('/healthz'), 'ok\n');
    assert.equal(await curl('/readyz'), 'ok\n');
  });

  it('counts workloads, rules and policies', async () => {
    const unpoliced = await scrape();
    assert.equal(unpoliced.value('podwall_dp_workloads', { state: 'unpoliced' }), 1);
    assert.equal(unpoliced.value('podwall_dp_workloads', { state: 'policed' }), 0);
    await agent.ask(policy(RULES, { defact: ACTION.open }), 'policyRealized');
    const policed = await scrape();
    assert.equal(policed.value('podwall_dp_workloads', { state: 'policed' }), 1);
    assert.equal(policed.value('podwall_dp_workloads', { state: 'unpoliced' }), 0);
    assert.equal(policed.value('podwall_dp_rules'), RULES.length);
    assert.equal(policed.value('podwall_dp_policies'), 1);
    assert.equal(policed.value('podwall_dp_enforcing'), 1);
  });

  it('counts connections by verdict, and dropped packets by reason', async () => {
    assert.ok(await traffic.out(PASSES));
    const before = await scrape();
    assert.ok(verdicts(before, 'allow') >= 2, 'what is allowed, and what has the lab know so');
    for (let packet = 0; packet < 3; packet++) assert.ok(!(await traffic.out(DENIED[0])));
    assert.ok(!(await traffic.out(DENIED[1])));
    const once = await scrape();
    assert.equal(verdicts(once, 'deny') - verdicts(before, 'deny'), 2);
    assert.equal(dropped(once, 'policy') - dropped(before, 'policy'), 4);
    await traffic.begin();
    assert.ok(!(await traffic.out(DENIED[0])));
    const frame = Buffer.concat([macBytes(HOST.mac), macBytes('02:00:00:00:77:99'), Buffer.of(8, 0), Buffer.alloc(46)]);
    sendFrames(lab.pod, 'eth0', [frame, frame]);
    const last = await scrape();
    assert.equal(verdicts(last, 'deny') - verdicts(once, 'deny'), 1);
    assert.equal(dropped(last, 'policy') - dropped(once, 'policy'), 1);
    assert.equal(dropped(last, 'spoofed_mac') - dropped(once, 'spoofed_mac'), 2);
    for (const reason of ['invalid_packet', 'orphan_fragment', 'spoofed_address'])
      assert.equal(dropped(last, reason), 0);
  });

  it('counts what would be denied as violations, and no packet as dropped, where policies are off', async () => {
    const before = await scrape();
    await agent.send({ ctrl_sys_conf: { disable_net_policy: true } });
    await agent.settled();
    await traffic.begin();
    assert.ok(await traffic.out(DENIED[0]));
    const off = await scrape();
    assert.equal(off.value('podwall_dp_enforcing'), 0);
    assert.equal(verdicts(off, 'violate') - verdicts(before, 'violate'), 1);
    assert.equal(dropped(off, 'policy'), dropped(before, 'policy'));
    await agent.send({ ctrl_sys_conf: { disable_net_policy: false } });
    await agent.settled();
  });

  it('tells how many connections its table has and can have', async () => {
    await agent.next('connection');
    const scraped = await scrape();
    assert.ok(scraped.value('podwall_dp_flows') >= 2);
    assert.equal(scraped.value('podwall_dp_flows_limit'), 2 ** 17);
  });

  it('keeps what the kernel counted when it is killed, and when a workload goes', async () => {
    const before = await scrape();
    await dp.stop('SIGKILL');
    dp = await lab.start('--metrics', WHERE);
    await agent.settled();
    const after = await scrape();
    assert.equal(after.value('podwall_dp_rules'), 0, 'they were not sent again');
    assert.equal(after.value('podwall_dp_workloads', { state: 'policed' }), 1);
    await agent.send(DEL_MAC);
    await agent.settled();
    const gone = await scrape();
    assert.equal(gone.value('podwall_dp_workloads'), 0);
    for (const scraped of [after, gone]) {
      assert.equal(verdicts(scraped, 'deny'), verdicts(before, 'deny'));
      assert.equal(dropped(scraped, 'policy'), dropped(before, 'policy'));
    }
  });

  it('counts reports, and those that nobody read', async () => {
    const before = await scrape();
    await agent.ask({ ctrl_nonsense: {} }, 'error');
    const one = await scrape();
    assert.ok(one.value('podwall_dp_reports_total') > before.value('podwall_dp_reports_total'));
    assert.equal(one.value('podwall_dp_reports_lost_total'), 0);
    await agent[Symbol.asyncDispose]();
    sendLarge(lab.listen, '{"ctrl_keep_alive": {"seq_num": 1}}', 5000);
    await dp.said('reports lost');
    const lost = await scrape();
    assert.ok(lost.value('podwall_dp_reports_lost_total') > 0);
    assert.ok(lost.value('podwall_dp_reports_waiting') > 0);
  });

  it('answers nothing but GET of three paths', async () => {
    const status = ['-o', '/dev/null', '-w', '%{http_code}'];
    assert.equal(await curl('/debug', ...status), '404');
    assert.equal(await curl('/metrics', '-X', 'POST', ...status), '405');
  });

  it('has its address to itself, and ends at once by SIGTERM', async () => {
    const places = ['--listen', `${lab.directory}/other.sock`, '--pin', `${lab.pin}-other`];
    await using second = new DpProcess(lab, [...places, '--metrics', WHERE]);
    assert.equal((await second.ended()).code, 1);
    assert.equal(second.errors, `podwall-dp: --metrics ${WHERE}: another process listens there: give another port\n`);
    assert.deepEqual(await dp.stop(), { code: 0, signal: null });
    await assert.rejects(curl('/healthz'));
  });
});

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
