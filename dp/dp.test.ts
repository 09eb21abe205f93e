// Commands to a dp that runs, over its socket: what it answers, and what real traffic then meets.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import type { DpProcess } from './lab/dp-process.ts';
import { HOST, Lab, WORKLOAD } from './lab/lab.ts';
import { sendLarge } from './lab/large.ts';
import { sendPaged } from './lab/paged.ts';
import { CONTROL_PORT, type Traffic } from './lab/traffic.ts';
import { COMMAND_NAMES, type CommandName, commandNumber, type PolicyRule } from './protocol/commands.ts';
import { ERROR_CODE, NO_MAC } from './protocol/reports.ts';
import { ACTION } from './protocol/values.ts';

const { mac: MAC, iface } = WORKLOAD;
const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

const control = [
  rule({ id: 1, ports: `udp/${CONTROL_PORT}` }),
  rule({ id: 2, ports: `udp/${CONTROL_PORT}`, direction: 'ingress' }),
];
/** Out to 7001, in to 7002, and what the lab itself needs. */
const RULES = [
  ...control,
  rule({ id: 1001, ports: 'udp/7001' }),
  rule({ id: 1002, ports: 'udp/7002', direction: 'ingress' }),
];
const batch = (rules: readonly PolicyRule[], more: object = {}) => ({
  ctrl_cfg_policy: { cmd: 1, flag: 3, defact: 2, dir: 3, mac: [MAC], rules, ...more },
});

let dp: DpProcess;
let agent: Agent;
let client: Agent;
let traffic: Traffic;
before(async () => {
  dp = await lab.start('-d', 'error,policy');
  agent = lab.agent();
  client = lab.client();
  traffic = await lab.traffic();
});

/** What is in force: out to 7001 and 7002, in to the same. */
const verdicts = async () => [
  await traffic.out(7001),
  await traffic.out(7002),
  await traffic.in(7001),
  await traffic.in(7002),
];
const AS_RULES = [true, false, false, true];
const UNPOLICED = [true, true, true, true];
const enforce = async (rules = RULES) => (await client.ask(batch(rules), 'policyRealized')).realized;

describe('ctrl_keep_alive', () => {
  it('is answered to the socket that it came from, with these bytes', async () => {
    await client.ask({ ctrl_keep_alive: { seq_num: 7 } }, 'keepAlive');
    const { sequence, more, report } = client.received.at(-1) ?? assert.fail();
    assert.deepEqual([sequence, more, report], [7, 0, { kind: 'keepAlive', sequence: 7 }]);
  });
  it('is answered to the agent’s socket where it came from one without a path', async () => {
    sendLarge(lab.listen, '{"ctrl_keep_alive": {"seq_num": 4000000000}}');
    assert.equal((await agent.next('keepAlive')).sequence, 4_000_000_000);
  });
});

describe('ctrl_add_mac', () => {
  it('of an interface that is not there is refused', async () => {
    const { code, text, mac, command } = await client.ask({ ctrl_add_mac: { iface: 'nothing0', mac: MAC } }, 'error');
    assert.deepEqual([code, mac, command], [ERROR_CODE.interfaceFailed, MAC, commandNumber('ctrl_add_mac')]);
    assert.match(text, /no interface nothing0 in dp’s network namespace/);
  });
  it('attaches the programs, and changes no traffic before there is a policy', async () => {
    await client.send({ ctrl_add_mac: { iface, mac: MAC } });
    await client.settled();
    assert.equal(readdirSync(`${lab.pin}/links`).length, 2);
    assert.deepEqual(await verdicts(), UNPOLICED);
  });
  it('of what is there already is no mistake', async () => {
    await client.send({ ctrl_add_mac: { iface, mac: MAC.toUpperCase() } });
    await client.settled();
    assert.equal(readdirSync(`${lab.pin}/links`).length, 2);
  });
});

describe('ctrl_cfg_policy', () => {
  it('is answered with POLICY_REALIZED, and from then on decides on traffic', async () => {
    const { mac, epoch, rules } = await enforce();
    assert.deepEqual([mac, rules], [MAC, RULES.length]);
    assert.deepEqual(await verdicts(), AS_RULES);
    assert.ok((await enforce()).epoch > epoch);
  });
  it('in 25 batches of 40 rules comes into force with the last', async () => {
    const filler = Array.from({ length: 1000 - control.length - 1 }, (_, i) =>
      rule({ id: 2000 + i, peer: `10.9.${i >> 8}.${i & 255}`, ports: 'tcp/443' }),
    );
    const rules = [...control, rule({ id: 1001, ports: 'udp/7002' }), ...filler];
    for (let at = 0; at < 960; at += 40) await client.send(batch(rules.slice(at, at + 40), { flag: at === 0 ? 1 : 0 }));
    await client.settled();
    assert.deepEqual(await verdicts(), AS_RULES);
    assert.equal((await client.ask(batch(rules.slice(960), { flag: 2 }), 'policyRealized')).realized.rules, 1000);
    assert.deepEqual(await verdicts(), [false, true, false, false]);
    await enforce();
  });
  it('changes and removes single rules, and then the whole', async () => {
    await client.ask(batch([rule({ id: 1003, ports: 'udp/7002' })], { cmd: 3 }), 'policyRealized');
    assert.deepEqual(await verdicts(), [true, true, false, true]);
    await client.ask(batch([rule({ id: 1001 })], { cmd: 2 }), 'policyRealized');
    assert.deepEqual(await verdicts(), [false, true, false, true]);
    assert.equal((await client.ask(batch([], { cmd: 2 }), 'policyRealized')).realized.rules, 0);
    assert.deepEqual(await verdicts(), UNPOLICED);
    await enforce();
  });
  it('for several workloads, of which one is unknown, changes none', async () => {
    const { code, text } = await client.ask(batch([...control], { mac: [MAC, '02:00:00:00:00:99'] }), 'error');
    assert.equal(code, ERROR_CODE.unknownMac);
    assert.match(text, /no workload 02:00:00:00:00:99: announce it by ctrl_add_mac first/);
    assert.deepEqual(await verdicts(), AS_RULES);
  });
});

describe('a policy in force survives', () => {
  const bad = (change: object) => batch([...control, { ...rule({ id: 3 }), ...change }]);
  const many = Array.from({ length: 20 }, (_, i) => rule({ id: 10 + i, local: `10.77.1.${i}` }));
  const cases: readonly [says: string, message: object | string | Uint8Array, code: number, text: RegExp][] = [
    ['what is not JSON', '{"ctrl_cfg_policy": ', ERROR_CODE.notJson, /not JSON/],
    ['an unknown command', { ctrl_cfg_polic: {} }, ERROR_CODE.unknownCommand, /unknown command "ctrl_cfg_polic"/],
    ['an unknown member', batch([], { macs: [] }), ERROR_CODE.invalidCommand, /unknown member "macs"/],
    ['a wrong type', bad({ port: '80' }), ERROR_CODE.invalidCommand, /rules\[2\]\.port: must be integer, not "80"/],
    [
      'a reversed range',
      bad({ dip: '10.0.0.2', dipr: '10.0.0.1' }),
      ERROR_CODE.invalidCommand,
      /rule 3: its dip range runs backwards/,
    ],
    ['an id twice', batch([...control, ...control]), ERROR_CODE.invalidCommand, /rule 1: its id is there twice/],
    ['END without START', batch([...control], { flag: 2 }), ERROR_CODE.batchOrder, /without START/],
    [
      'an unknown workload',
      batch([], { mac: ['02:00:00:00:00:99'] }),
      ERROR_CODE.unknownMac,
      /no workload 02:00:00:00:00:99/,
    ],
    [
      'more than the kernel’s tables take',
      batch([...control, ...many]),
      ERROR_CODE.policyTooLarge,
      /more than 16 kinds of local address/,
    ],
    [
      'vhost',
      bad({ fqdn: 'a.test', dip: '0.0.0.0', dipr: '0.0.0.0', vhost: true }),
      ERROR_CODE.notSupported,
      /vhost is not supported yet/,
    ],
    [
      'the address of a name with vhost',
      { ctrl_cfg_set_fqdn: { fqdn_name: 'a.test', vhost: true, fqdn_ips: [] } },
      ERROR_CODE.notSupported,
      /vhost/,
    ],
    [
      'an unknown workload to forget',
      { ctrl_del_mac: { iface, mac: '02:00:00:00:00:99' } },
      ERROR_CODE.unknownMac,
      /02:00:00:00:00:99 on veth0/,
    ],
    [
      'the workload on another interface',
      { ctrl_del_mac: { iface: 'lo', mac: MAC } },
      ERROR_CODE.unknownMac,
      /02:00:00:00:77:05 on lo/,
    ],
    [
      'tap for an unknown workload',
      { ctrl_cfg_mac: { macs: ['02:00:00:00:00:99'], tap: true } },
      ERROR_CODE.unknownMac,
      /02:00:00:00:00:99/,
    ],
  ];
  for (const [says, message, code, text] of cases)
    it(says, async () => {
      const error = await client.ask(message, 'error');
      assert.equal(error.code, code, error.text);
      assert.match(error.text, text);
      await dp.said(JSON.stringify(error.text));
    });
  it('START without END, whatever comes between', async () => {
    await client.send(batch([...control], { flag: 1 }));
    await client.ask(batch([...control], { flag: 2, defact: 1 }), 'error');
    await client.settled();
  });
  it('all of these', async () => {
    assert.deepEqual(await verdicts(), AS_RULES);
  });
});

describe('a command that is not supported yet', () => {
  const bodies: Partial<Record<CommandName, object>> = {
    ctrl_add_tap_port: { netns: '/proc/1/ns/net', iface: 'eth0', epmac: MAC },
    ctrl_add_nfq_port: { netns: '/proc/1/ns/net', iface: 'eth0', qnum: 0, epmac: MAC },
    ctrl_cfg_internal_net: { flag: 3, subnet_addr: null },
    ctrl_bld_dlp: { flag: 3, mac: null },
    ctrl_cfg_dlp: { flag: 3, mac: [MAC] },
    ctrl_sys_conf: { xff_enabled: true },
  };
  for (const [name, body] of Object.entries(bodies))
    it(`is answered so: ${name}`, async () => {
      const error = await client.ask({ [name]: body }, 'error');
      const number = COMMAND_NAMES.indexOf(name as CommandName) + 1; // the keys of bodies
      assert.deepEqual(
        [error.code, error.command, error.text],
        [ERROR_CODE.notSupported, number, `${name}: not supported yet`],
      );
    });
});

describe('the datagram', () => {
  it('of several commands is carried out in order, past the ones that are refused', async () => {
    await client.send({
      ctrl_keep_alive: { seq_num: 1 },
      ctrl_nonsense: {},
      ctrl_del_mac: { iface: 'lo', mac: MAC },
      ctrl_sys_conf: {},
    });
    await client.settled();
    const codes = client.received
      .slice(-5, -1)
      .map(({ report }) => (report.kind === 'error' ? report.code : report.kind));
    assert.deepEqual(codes, ['keepAlive', ERROR_CODE.unknownCommand, ERROR_CODE.unknownMac, ERROR_CODE.notSupported]);
  });
  it('of 250 KiB is taken whole', async () => {
    const filler = Array.from({ length: 900 }, (_, i) => rule({ id: 2000 + i, peer: `10.9.${i >> 8}.${i & 255}` }));
    const text = JSON.stringify(batch([...RULES, ...filler]));
    sendLarge(lab.listen, text + ' '.repeat(250 * 1024 - text.length));
    const { realized } = await agent.next('policyRealized', (report) => report.realized.rules > RULES.length);
    assert.equal(realized.rules, RULES.length + filler.length);
    assert.deepEqual(await verdicts(), AS_RULES);
  });
  it('of 256 KiB is taken, and one byte more is not', async () => {
    const text = '{"ctrl_keep_alive": {"seq_num": 1}}';
    sendLarge(lab.listen, text + ' '.repeat(256 * 1024 - text.length));
    await agent.next('keepAlive');
    sendLarge(lab.listen, text + ' '.repeat(256 * 1024 + 1 - text.length));
    const { code, command, mac, text: words } = await agent.next('error');
    assert.deepEqual([code, command, mac], [ERROR_CODE.tooLarge, 0, NO_MAC]);
    assert.equal(words, 'a message of 262145 bytes; 262144 are the most');
  });
  it('of 300 KiB is refused', async () => {
    sendLarge(lab.listen, Buffer.alloc(300 * 1024, '{'));
    assert.equal((await agent.next('error')).text, 'a message of 307200 bytes; 262144 are the most');
    assert.deepEqual(await verdicts(), AS_RULES);
  });
});

describe('the agent’s socket', () => {
  it('gets a THREAT_LOG of denied traffic', async () => {
    await enforce([...control, rule({ id: 1234, ports: 'udp/7003', action: ACTION.deny })]);
    assert.equal(await traffic.out(7003), false);
    const { threat } = await agent.next('threatLog', ({ threat: { ruleId } }) => ruleId === 1234);
    assert.deepEqual([threat.mac, threat.destinationPort, threat.action], [MAC, 7003, ACTION.deny]);
    assert.ok(Math.abs(threat.reportedAt - Date.now() / 1000) < 60);
  });
  it('gets the hits of rules, with the epoch that their ids belong to', async () => {
    const { epoch } = await enforce([...control, rule({ id: 1500, ports: 'udp/7003' })]);
    assert.equal(await traffic.out(7003), true);
    const { rules, revision, mac } = await agent.next('ruleHits', (report) =>
      report.rules.some(({ ruleId }) => ruleId === 1500),
    );
    assert.deepEqual([mac, revision], [MAC, epoch]);
    assert.equal(rules.find(({ ruleId }) => ruleId === 1500)?.hits, 1n);
  });
  it('gets the connections that had traffic', async () => {
    await agent.next('connection', ({ connections }) =>
      connections.some(({ ruleId, serverPort }) => ruleId === 1500 && serverPort === 7003),
    );
  });
  it('gets reports that are numbered without a gap', () => {
    const numbers = agent.received.filter(({ report }) => report.kind !== 'keepAlive').map(({ sequence }) => sequence);
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
      traffic.arrives(`to ${port}`.padEnd(5000), (text) => sendPaged(lab.pod, 'eth0', ends, port, text));
    assert.equal(await arrives(7001), true);
    assert.equal(await arrives(7002), false);
  });
});

describe('ctrl_cfg_mac', () => {
  it('sets tap: nothing is dropped, and what would be is reported', async () => {
    await enforce();
    await client.send({ ctrl_cfg_mac: { macs: [MAC], tap: true } });
    await client.settled();
    assert.deepEqual(await verdicts(), UNPOLICED);
    await agent.next('threatLog', ({ threat }) => threat.action === ACTION.violate);
    await client.send({ ctrl_cfg_mac: { macs: [MAC], tap: false, apps: [{ ip_proto: 6, port: 80, app: 100 }] } });
    await client.settled();
    assert.deepEqual(await verdicts(), AS_RULES);
  });
});

describe('ctrl_cfg_set_fqdn', () => {
  it('opens the rules for the name, and ctrl_cfg_del_fqdn closes them to new connections', async () => {
    await enforce([...control, rule({ id: 1001, peer: 'fqdn:host.test', ports: 'udp/7001' })]);
    assert.equal(await traffic.out(7001), false);
    await client.send({ ctrl_cfg_set_fqdn: { fqdn_name: 'host.test', fqdn_ips: ['10.77.0.1'] } });
    await client.settled();
    assert.equal(await traffic.out(7001), true);
    await client.send({ ctrl_cfg_del_fqdn: { names: ['host.test'] } });
    await client.settled();
    assert.equal(await traffic.out(7001), true, 'the open connection goes on');
    await traffic.begin();
    assert.equal(await traffic.out(7001), false);
    await enforce();
  });
});

describe('ctrl_del_mac', () => {
  it('takes the programs off, and all traffic passes', async () => {
    await client.send({ ctrl_del_mac: { iface, mac: MAC } });
    await client.settled();
    assert.deepEqual(await verdicts(), UNPOLICED);
    assert.deepEqual(readdirSync(`${lab.pin}/links`), []);
    assert.equal((await client.ask(batch(RULES), 'error')).code, ERROR_CODE.unknownMac);
  });
  it('leaves nothing of the policy to a workload that is announced anew', async () => {
    await client.send({ ctrl_add_mac: { iface, mac: MAC } });
    await client.settled();
    assert.deepEqual(await verdicts(), UNPOLICED);
    assert.equal((await client.ask(batch([], { cmd: 3 }), 'error')).code, ERROR_CODE.policyUnknown);
  });
  it('is all that dp needs to end cleanly', async () => {
    assert.deepEqual(await dp.stop(), { code: 0, signal: null });
    assert.equal(dp.errors, '');
  });
});
