// Commands to a dp that runs, over its socket: what it answers, and what real traffic then meets.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import { ADD_MAC, CONTROL_RULES, DEL_MAC, policy } from './lab/commands.ts';
import { HOST, WORKLOAD } from './lab/lab.ts';
import { sendLarge } from './lab/large.ts';
import { sendPaged } from './lab/paged.ts';
import { AS_RULES, policed, RULES, UNPOLICED } from './lab/policed.ts';
import { commandNumber } from './protocol/commands.ts';
import { ERROR_CODE } from './protocol/reports.ts';
import { ACTION } from './protocol/values.ts';

const { mac: MAC, iface } = WORKLOAD;
const on = policed(['-d', 'error,policy']);
const { lab } = on;

const enforce = async (rules = RULES) => (await on.client.ask(policy(rules), 'policyRealized')).realized;

describe('ctrl_keep_alive', () => {
  it('is answered to the socket that it came from, with these bytes', async () => {
    await on.client.ask({ ctrl_keep_alive: { seq_num: 7 } }, 'keepAlive');
    const { sequence, more, report } = on.client.received.at(-1) ?? assert.fail();
    assert.deepEqual([sequence, more, report], [7, 0, { kind: 'keepAlive', sequence: 7 }]);
  });
  it('is answered to the agent’s socket where it came from one without a path', async () => {
    sendLarge(lab.listen, '{"ctrl_keep_alive": {"seq_num": 4000000000}}');
    assert.equal((await on.agent.next('keepAlive')).sequence, 4_000_000_000);
  });
});

describe('ctrl_add_mac', () => {
  it('of an interface that is not there is refused', async () => {
    const { code, text, mac, command } = await on.client.ask(
      { ctrl_add_mac: { iface: 'nothing0', mac: MAC } },
      'error',
    );
    assert.deepEqual([code, mac, command], [ERROR_CODE.interfaceFailed, MAC, commandNumber('ctrl_add_mac')]);
    assert.match(text, /no interface nothing0 in dp’s network namespace/);
  });
  it('attaches the programs, and changes no traffic before there is a policy', async () => {
    await on.client.send(ADD_MAC);
    await on.client.settled();
    assert.equal(readdirSync(`${lab.pin}/links`).length, 2);
    assert.deepEqual(await on.traffic.verdicts(), UNPOLICED);
  });
  it('of what is there already is no mistake', async () => {
    await on.client.send({ ctrl_add_mac: { iface, mac: MAC.toUpperCase() } });
    await on.client.settled();
    assert.equal(readdirSync(`${lab.pin}/links`).length, 2);
  });
});

describe('ctrl_cfg_policy', () => {
  it('is answered with POLICY_REALIZED, and from then on decides on traffic', async () => {
    const { mac, epoch, rules } = await enforce();
    assert.deepEqual([mac, rules], [MAC, RULES.length]);
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
    assert.ok((await enforce()).epoch > epoch);
  });
  it('in 25 batches of 40 rules comes into force with the last', async () => {
    const filler = Array.from({ length: 1000 - CONTROL_RULES.length - 1 }, (_, i) =>
      rule({ id: 2000 + i, peer: `10.9.${i >> 8}.${i & 255}`, ports: 'tcp/443' }),
    );
    const rules = [...CONTROL_RULES, rule({ id: 1001, ports: 'udp/7002' }), ...filler];
    for (let at = 0; at < 960; at += 40)
      await on.client.send(policy(rules.slice(at, at + 40), { flag: at === 0 ? 1 : 0 }));
    await on.client.settled();
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
    assert.equal((await on.client.ask(policy(rules.slice(960), { flag: 2 }), 'policyRealized')).realized.rules, 1000);
    assert.deepEqual(await on.traffic.verdicts(), [false, true, false, false]);
    await enforce();
  });
  it('changes and removes single rules, and then the whole', async () => {
    await on.client.ask(policy([rule({ id: 1003, ports: 'udp/7002' })], { cmd: 3 }), 'policyRealized');
    assert.deepEqual(await on.traffic.verdicts(), [true, true, false, true]);
    await on.client.ask(policy([rule({ id: 1001 })], { cmd: 2 }), 'policyRealized');
    assert.deepEqual(await on.traffic.verdicts(), [false, true, false, true]);
    assert.equal((await on.client.ask(policy([], { cmd: 2 }), 'policyRealized')).realized.rules, 0);
    assert.deepEqual(await on.traffic.verdicts(), UNPOLICED);
    await enforce();
  });
  it('for a MAC that two interfaces have is for both, and each is forgotten alone', async () => {
    const another = { iface: 'lo', mac: MAC };
    await on.client.send({ ctrl_add_mac: another });
    await on.client.ask(policy(RULES), 'policyRealized');
    await on.client.next('policyRealized');
    await on.client.send({ ctrl_del_mac: another });
    await on.client.settled();
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
  });
  it('for several workloads, of which one is unknown, changes none', async () => {
    const { code, text } = await on.client.ask(
      policy([...CONTROL_RULES], { mac: [MAC, '02:00:00:00:00:99'] }),
      'error',
    );
    assert.equal(code, ERROR_CODE.unknownMac);
    assert.match(text, /no workload 02:00:00:00:00:99: announce it by ctrl_add_mac first/);
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
  });
});

describe('the agent’s socket', () => {
  it('gets a THREAT_LOG of denied traffic', async () => {
    await enforce([...CONTROL_RULES, rule({ id: 1234, ports: 'udp/7003', action: ACTION.deny })]);
    assert.equal(await on.traffic.out(7003), false);
    const { threat } = await on.agent.next('threatLog', ({ threat: { ruleId } }) => ruleId === 1234);
    assert.deepEqual([threat.mac, threat.destinationPort, threat.action], [MAC, 7003, ACTION.deny]);
    assert.ok(Math.abs(threat.reportedAt - Date.now() / 1000) < 60);
  });
  it('gets the hits of rules, with the epoch that their ids belong to', async () => {
    const { epoch } = await enforce([...CONTROL_RULES, rule({ id: 1500, ports: 'udp/7003' })]);
    assert.equal(await on.traffic.out(7003), true);
    const { rules, revision, mac } = await on.agent.next('ruleHits', (report) =>
      report.rules.some(({ ruleId }) => ruleId === 1500),
    );
    assert.deepEqual([mac, revision], [MAC, epoch]);
    assert.equal(rules.find(({ ruleId }) => ruleId === 1500)?.hits, 1n);
  });
  it('gets the connections that had traffic', async () => {
    await on.agent.next('connection', ({ connections }) =>
      connections.some(({ ruleId, serverPort }) => ruleId === 1500 && serverPort === 7003),
    );
  });
  it('gets reports that are numbered without a gap', () => {
    const numbers = on.agent.received
      .filter(({ report }) => report.kind !== 'keepAlive')
      .map(({ sequence }) => sequence);
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    );
  });
});

describe('a packet whose headers lie apart from its linear part', () => {
  it('is read like any other', async () => {
    await enforce();
    const ends = { sourceMac: MAC, destinationMac: HOST.mac, source: WORKLOAD.ip, destination: HOST.ip };
    const arrives = (port: number) =>
      on.traffic.arrives(`to ${port}`.padEnd(5000), (text) => sendPaged(lab.pod, 'eth0', ends, port, text));
    assert.equal(await arrives(7001), true);
    assert.equal(await arrives(7002), false);
  });
});

describe('ctrl_cfg_mac', () => {
  it('sets tap: nothing is dropped, and what would be is reported', async () => {
    await enforce();
    await on.client.send({ ctrl_cfg_mac: { macs: [MAC], tap: true } });
    await on.client.settled();
    assert.deepEqual(await on.traffic.verdicts(), UNPOLICED);
    await on.agent.next('threatLog', ({ threat }) => threat.action === ACTION.violate);
    await on.client.send({ ctrl_cfg_mac: { macs: [MAC], tap: false, apps: [{ ip_proto: 6, port: 80, app: 100 }] } });
    await on.client.settled();
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
  });
});

describe('ctrl_cfg_set_fqdn', () => {
  it('opens the rules for the name, and ctrl_cfg_del_fqdn closes them to new connections', async () => {
    await enforce([...CONTROL_RULES, rule({ id: 1001, peer: 'fqdn:host.test', ports: 'udp/7001' })]);
    assert.equal(await on.traffic.out(7001), false);
    await on.client.send({ ctrl_cfg_set_fqdn: { fqdn_name: 'host.test', fqdn_ips: ['10.77.0.1'] } });
    await on.client.settled();
    assert.equal(await on.traffic.out(7001), true);
    await on.client.send({ ctrl_cfg_del_fqdn: { names: ['host.test'] } });
    await on.client.settled();
    assert.equal(await on.traffic.out(7001), true, 'the open connection goes on');
    await on.traffic.begin();
    assert.equal(await on.traffic.out(7001), false);
    await enforce();
  });
});

describe('ctrl_del_mac', () => {
  it('takes the programs off, and all traffic passes', async () => {
    await on.client.send(DEL_MAC);
    await on.client.settled();
    assert.deepEqual(await on.traffic.verdicts(), UNPOLICED);
    assert.deepEqual(readdirSync(`${lab.pin}/links`), []);
    assert.equal((await on.client.ask(policy(RULES), 'error')).code, ERROR_CODE.unknownMac);
  });
  it('leaves nothing of the policy to a workload that is announced anew', async () => {
    await on.client.send(ADD_MAC);
    await on.client.settled();
    assert.deepEqual(await on.traffic.verdicts(), UNPOLICED);
    assert.equal((await on.client.ask(policy([], { cmd: 3 }), 'error')).code, ERROR_CODE.policyUnknown);
  });
  it('is all that dp needs to end cleanly', async () => {
    assert.deepEqual(await on.dp.stop(), { code: 0, signal: null });
    assert.equal(on.dp.errors, '');
  });
});
