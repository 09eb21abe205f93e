// dp stopped, killed and started again, and workloads that come and go meanwhile: what is in force stays in force.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, CONTROL_RULES, DEL_MAC, policy } from './lab/commands.ts';
import { Lab } from './lab/lab.ts';
import type { Traffic } from './lab/traffic.ts';
import { ERROR_CODE } from './protocol/reports.ts';

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

const RULES = [
  ...CONTROL_RULES,
  rule({ id: 1001, peer: 'fqdn:host.test', ports: 'udp/7001' }),
  rule({ id: 1002, ports: 'udp/7002', direction: 'ingress' }),
];
const setName = { ctrl_cfg_set_fqdn: { fqdn_name: 'host.test', fqdn_ips: ['10.77.0.1'] } };
const AS_RULES = [true, false, false, true];
/** In which dp looks for hits twice: time for a mistake to show, not for anything to happen. */
const PERIODS_MS = 4500;
const UNPOLICED = [true, true, true, true];

let client: Agent;
let traffic: Traffic;
before(async () => {
  client = lab.client();
  traffic = await lab.traffic();
});

/** All that an agent sends when it finds dp. */
async function sync(): Promise<number> {
  await client.send(ADD_MAC);
  await client.send(setName);
  return (await client.ask(policy(RULES), 'policyRealized')).realized.epoch;
}

describe('what is in force goes on', () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    it(`while dp is away after ${signal}, and when it is back`, async () => {
      await using first = await lab.start();
      const epoch = await sync();
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
      await first.stop(signal);
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
      assert.equal(await traffic.out(7003), false, 'a new connection is judged too');

      await using second = await lab.start();
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
      second.signal('SIGUSR1');
      const text = await second.said(/\d workloads[\s\S]*names\n.*\n/);
      assert.match(text, /1 workloads\n .*: default deny, both directions, rules from before dp started/);
      assert.match(text, /host\.test \(id \d+\): 10\.77\.0\.1\n/);

      const change = policy([rule({ id: 1003, ports: 'udp/7003' })], { cmd: 3 });
      assert.equal((await client.ask(change, 'error')).code, ERROR_CODE.policyUnknown);
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
      assert.ok((await sync()) > epoch, 'epochs go on from where they were');
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
      await second.stop();
    });
  it('for every packet of a connection, however often dp is killed and started', async () => {
    await using first = await lab.start();
    await sync();
    let isOver = false;
    const lost: number[] = [];
    const talking = (async () => {
      for (let sent = 0; !isOver; sent++) if (!(await traffic.out(7001)) || (await traffic.in(7001))) lost.push(sent);
    })();
    await first.stop('SIGKILL');
    for (let times = 0; times < 3; times++) {
      await using next = await lab.start();
      await sync();
      await next.stop(times % 2 ? 'SIGTERM' : 'SIGKILL');
    }
    isOver = true;
    await talking;
    assert.deepEqual(lost, []);
  });
  it('with the hits of rules: those before a kill, and those while dp is away', async () => {
    await using first = await lab.start();
    await sync();
    const connect = async () => {
      await traffic.begin();
      assert.equal(await traffic.in(7002), true);
    };
    for (let times = 0; times < 2; times++) await connect();
    await first.stop('SIGKILL');
    await connect();
    await using second = await lab.start();
    await using agent = lab.agent();
    const hits = async (wanted: bigint) =>
      agent.next('ruleHits', ({ rules }) => rules.some(({ ruleId, hits }) => ruleId === 1002 && hits === wanted));
    await hits(3n);
    await connect();
    await hits(4n);
    await second.stop();
  });
  it('with the hits of a policy that was replaced, which no agent has been told of', async () => {
    await using first = await lab.start('-d', 'report');
    await sync();
    await traffic.begin();
    assert.equal(await traffic.in(7002), true);
    await client.ask(policy([...RULES, rule({ id: 1009, ports: 'udp/9' })]), 'policyRealized');
    await first.said(/"kind":"ruleHits"/);
    await sleep(PERIODS_MS);
    await first.stop('SIGKILL');
    await using second = await lab.start();
    await using agent = lab.agent();
    await agent.next('ruleHits', ({ rules }) => rules.some(({ ruleId, hits }) => ruleId === 1002 && hits === 1n));
    await second.stop();
  });
  it('also with the names that dp was told of before, and their addresses', async () => {
    await using first = await lab.start();
    await sync();
    await first.stop();
    await using second = await lab.start();
    await client.send({ ctrl_cfg_set_fqdn: { fqdn_name: 'host.test', fqdn_ips: ['10.77.0.2'] } });
    await client.ask(policy(RULES), 'policyRealized');
    await traffic.begin();
    assert.equal(await traffic.out(7001), false);
    await sync();
    assert.equal(await traffic.out(7001), true);
    await second.stop();
  });
});

describe('a workload', () => {
  it('whose policy was deleted is untouched after a restart', async () => {
    await using first = await lab.start();
    await sync();
    await client.ask(policy([], { cmd: 2 }), 'policyRealized');
    await first.stop('SIGKILL');
    await using second = await lab.start();
    assert.deepEqual(await traffic.verdicts(), UNPOLICED);
    await second.stop();
  });
  it('whose interface is made anew, with the same name and MAC, is announced and forgotten like a new one', async () => {
    await using dp = await lab.start();
    await sync();
    lab.replaceInterface();
    await sync();
    await traffic.begin();
    assert.equal(await traffic.out(7001), true);
    assert.equal(await traffic.out(7002), false);
    await client.send(DEL_MAC);
    await client.settled();
    assert.equal(await traffic.out(7002), true);
    assert.deepEqual(readdirSync(`${lab.pin}/links`), []);
    dp.signal('SIGUSR1');
    await dp.said('0 workloads');
    await dp.stop();
  });
  it('whose interface went while dp was away is forgotten', async () => {
    await using first = await lab.start();
    await sync();
    await first.stop('SIGKILL');
    lab.removeInterface();
    await using second = await lab.start();
    second.signal('SIGUSR1');
    await second.said('0 workloads');
    assert.deepEqual(readdirSync(`${lab.pin}/links`), []);
    await second.stop();
  });
});
