// What holds for all of dp: policies off on the node, and which peers are external. With real traffic.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, CONTROL_RULES, policy } from './lab/commands.ts';
import type { DpProcess } from './lab/dp-process.ts';
import { Lab } from './lab/lab.ts';
import type { Traffic } from './lab/traffic.ts';
import { CONNECTION_FLAG, ERROR_CODE, THREAT_FLAG } from './protocol/reports.ts';
import { ACTION } from './protocol/values.ts';

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

const RULES = [...CONTROL_RULES, rule({ id: 1001, ports: 'udp/7001' })];
const AS_RULES = [true, false, false, false];
const ALL_PASS = [true, true, true, true];
const off = (disable_net_policy: boolean) => ({ ctrl_sys_conf: { disable_net_policy } });

let dp: DpProcess;
let agent: Agent;
let traffic: Traffic;
before(async () => {
  dp = await lab.start();
  agent = lab.agent();
  traffic = await lab.traffic();
  await agent.send(ADD_MAC);
  await agent.ask(policy(RULES), 'policyRealized');
});

async function send(command: object): Promise<void> {
  await agent.send(command);
  await agent.settled();
}

describe('with policies off on the node', () => {
  it('what was denied passes, and is reported as a violation that passed', async () => {
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
    await send(off(true));
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    const { threat } = await agent.next('threatLog', ({ threat: one }) => one.action === ACTION.violate);
    assert.equal(threat.flags & THREAT_FLAG.passed, THREAT_FLAG.passed);
    dp.signal('SIGUSR1');
    await dp.said('policies are off on this node (ctrl_sys_conf): nothing is dropped');
  });
  it('a workload’s own setting changes nothing of that', async () => {
    const { mac } = ADD_MAC.ctrl_add_mac;
    await send({ ctrl_cfg_mac: { macs: [mac], tap: true } });
    await send({ ctrl_cfg_mac: { macs: [mac], tap: false } });
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
  });
  it('they stay off when dp comes back, also for a workload that is new', async () => {
    await dp.stop('SIGKILL');
    dp = await lab.start();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    await send({ ctrl_add_mac: { iface: 'lo', mac: '02:00:00:00:77:99' } });
    dp.signal('SIGUSR1');
    await dp.said('02:00:00:00:77:99 on lo (interface 1), epoch 1, drops nothing (policies are off)');
  });
  it('they are in force again once they are on, for open connections too', async () => {
    await agent.ask(policy(RULES), 'policyRealized');
    await send(off(false));
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
  });
});

describe('a setting that is not supported', () => {
  it('is refused, and nothing of the command is in force', async () => {
    const { code, text } = await agent.ask({ ctrl_sys_conf: { xff_enabled: true, disable_net_policy: true } }, 'error');
    assert.deepEqual([code, /xff_enabled is not supported/.test(text)], [ERROR_CODE.notSupported, true]);
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
  });
  it('may be off', async () => {
    const errors = agent.received.filter(({ report }) => report.kind === 'error').length;
    await send({ ctrl_sys_conf: { xff_enabled: false } });
    assert.equal(agent.received.filter(({ report }) => report.kind === 'error').length, errors);
  });
});

describe('internal networks', () => {
  const tell = (ip: string) =>
    send({ ctrl_cfg_internal_net: { flag: 3, subnet_addr: [{ ip, mask: '255.255.255.0' }] } });
  /** The flags of a new threat and of a new connection, as far as they say that the peer is external. */
  async function flags(): Promise<[threat: boolean, connection: boolean]> {
    await traffic.begin();
    await traffic.verdicts();
    const { threat } = await agent.next('threatLog');
    const { connections } = await agent.next('connection');
    const ofConnections = connections.map((one) => (one.flags & CONNECTION_FLAG.external) !== 0);
    assert.equal(new Set(ofConnections).size, 1);
    return [(threat.flags & THREAT_FLAG.external) !== 0, ofConnections[0] ?? false];
  }
  it('that have the peer’s address: it is not external', async () => {
    await tell('10.77.0.0');
    assert.deepEqual(await flags(), [false, false]);
  });
  it('that have not: its threats and connections say that it is external', async () => {
    await tell('10.78.0.0');
    assert.deepEqual(await flags(), [true, true]);
    dp.signal('SIGUSR1');
    await dp.said(/internal networks: .*10\.78\.0\.0-10\.78\.0\.255/);
  });
  it('that are refused leave those before in force', async () => {
    const bad = { flag: 3, subnet_addr: [{ ip: '10.77.0.0', mask: '255.0.255.0' }] };
    const { code, text } = await agent.ask({ ctrl_cfg_internal_net: bad }, 'error');
    assert.deepEqual([code, /255\.0\.255\.0/.test(text)], [ERROR_CODE.invalidCommand, true]);
    assert.deepEqual(await flags(), [true, true]);
  });
});
