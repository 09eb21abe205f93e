// dp replaced by one of another version, while traffic goes on: what is in force, connections and counts go on with it.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import { STEPS } from './kernel/upgrade.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, CONTROL_RULES, policy } from './lab/commands.ts';
import { DpProcess } from './lab/dp-process.ts';
import { ASKED_PORT, type Exchange } from './lab/exchange.ts';
import { Lab } from './lab/lab.ts';
import type { Traffic } from './lab/traffic.ts';
import { ANOTHER_LAYOUT, ANOTHER_POLICY_FORMAT, buildVariant } from './lab/variant.ts';
import { ACTION } from './protocol/values.ts';

const ASK_RULE = 1002;
/**
 * A connection that was seen from its start is known to speak no SSH; one that was forgotten would be taken for what the
 * first rule with applications says, and be cut.
 */
const RULES = [
  ...CONTROL_RULES,
  rule({ id: 1000, ports: `tcp/${ASKED_PORT}`, apps: { SSH: ACTION.deny } }),
  rule({ id: 1001, ports: `tcp/${ASKED_PORT}` }),
  rule({ id: ASK_RULE, ports: `udp/${ASKED_PORT}`, peer: 'fqdn:host.test' }),
  rule({ id: 1003, ports: 'udp/7001' }),
  rule({ id: 1004, ports: 'udp/7002', direction: 'ingress' }),
];
const NAME = { ctrl_cfg_set_fqdn: { fqdn_name: 'host.test', fqdn_ips: ['10.77.0.1'] } };
const ROUNDS = 20;

async function sync(client: Agent): Promise<void> {
  await client.send(ADD_MAC);
  await client.send(NAME);
  await client.ask(policy(RULES), 'policyRealized');
}

/** What the rule of the exchange's datagrams has counted, once dp has reported this many or more. */
async function hits(agent: Agent, atLeast: number): Promise<number> {
  const isEnough = (hit: { ruleId: number; hits: bigint }) => hit.ruleId === ASK_RULE && hit.hits >= BigInt(atLeast);
  const { rules } = await agent.next('ruleHits', (report) => report.rules.some(isEnough));
  return Number(rules.find(isEnough)?.hits);
}

const inPins = (lab: Lab): string[] => readdirSync(lab.pin).sort();

describe('a dp with tables of another layout', () => {
  const lab = new Lab();
  after(() => lab[Symbol.asyncDispose]());
  let variant: string;
  let exchange: Exchange;
  let agent: Agent;
  before(async () => {
    variant = buildVariant(lab.directory, 'variant', ANOTHER_LAYOUT);
    await using dp = await lab.start();
    agent = lab.agent();
    await sync(agent);
    exchange = await lab.exchange();
    await exchange.rounds(ROUNDS);
    await dp.stop();
  });

  it('takes over flows, policies, names and counts, and gives them back', async () => {
    for (const start of [() => lab.startVariant(variant), () => lab.start()]) {
      await using dp = await start();
      await exchange.rounds(ROUNDS);
      dp.signal('SIGUSR1');
      assert.match(await dp.said(/\d workloads[\s\S]*names\n.*\n/), /host\.test \(id \d+\): 10\.77\.0\.1\n/);
      await dp.stop();
      assert.deepEqual(inPins(lab), ['in-force', 'links', 'watched', 'watchers']);
      assert.deepEqual(exchange.result.lost, []);
    }
  });
  for (const [i, step] of STEPS.entries())
    it(`that is killed after “${step}” leaves one or the other in force, and the next start goes on`, async () => {
      // By turns, what is killed is the version that comes, and what is started then is it or the one before it.
      const [coming, before] = i % 2 ? [undefined, variant] : [variant, undefined];
      const start = (folder: string | undefined) => (folder ? lab.startVariant(folder) : lab.start());
      const script = `${coming ?? import.meta.dirname}/lab/stop-at-step.ts`;
      await using killed = new DpProcess(lab, [lab.pin, step], script);
      assert.equal((await killed.ended()).signal, 'SIGKILL', killed.errors);
      await exchange.rounds(ROUNDS);
      for (const folder of i % 4 < 2 ? [coming] : [before, coming]) {
        await using dp = await start(folder);
        await exchange.rounds(ROUNDS);
        await dp.stop();
        assert.deepEqual(inPins(lab), ['in-force', 'links', 'watched', 'watchers']);
      }
      assert.deepEqual(exchange.result.lost, []);
    });
  it('has lost none of what is allowed, passed none of what is denied, and counted every hit', async () => {
    const { lost, passed, flows } = await exchange.end();
    assert.deepEqual([lost, passed], [[], []]);
    await using dp = await lab.start();
    assert.equal(await hits(agent, flows), flows);
    await dp.stop();
  });
  it('leaves nothing behind after --detach', async () => {
    await using detaching = new DpProcess(lab, [...lab.options, '--detach']);
    assert.equal((await detaching.ended()).code, 0);
    assert.equal(existsSync(lab.pin), false);
  });
});

describe('programs attached by clsact', () => {
  const lab = new Lab();
  after(() => lab[Symbol.asyncDispose]());

  it('give way to those of another layout without a gap', async () => {
    const variant = buildVariant(lab.directory, 'variant', ANOTHER_LAYOUT);
    await using dp = await lab.start('--attach', 'clsact');
    await sync(lab.client());
    const exchange = await lab.exchange();
    await exchange.rounds(ROUNDS);
    await dp.stop();
    await using next = await lab.startVariant(variant, '--attach', 'clsact');
    await exchange.rounds(ROUNDS);
    await next.stop();
    const { lost, passed } = await exchange.end();
    assert.deepEqual([lost, passed], [[], []]);
    assert.ok(readdirSync(`${lab.pin}/links`).every((name) => name.endsWith('-clsact')));
  });
});

describe('a dp that can not read the policies in force', () => {
  const lab = new Lab();
  after(() => lab[Symbol.asyncDispose]());
  let variant: string;
  let client: Agent;
  let traffic: Traffic;
  before(async () => {
    variant = buildVariant(lab.directory, 'variant', [...ANOTHER_POLICY_FORMAT, ...ANOTHER_LAYOUT]);
    client = lab.client();
    traffic = await lab.traffic();
  });
  const AS_RULES = [true, false, false, true];

  it('leaves them in force until each workload’s policy was told again, also if it is killed meanwhile', async () => {
    await using first = await lab.start();
    await sync(client);
    await first.stop();
    const exchange = await lab.exchange();
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await using pending = await lab.startVariant(variant);
      assert.deepEqual(inPins(lab), ['in-force', 'links', 'next', 'watched', 'watchers']);
      await client.send(ADD_MAC);
      await client.settled();
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
      await pending.stop(signal);
    }
    await using last = await lab.startVariant(variant);
    await sync(client);
    assert.deepEqual(inPins(lab), ['in-force', 'links', 'watched', 'watchers']);
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
    await exchange.rounds(ROUNDS);
    const { lost, passed } = await exchange.end();
    assert.deepEqual([lost, passed], [[], []]);
    await last.stop();
  });
});
