// Commands that a dp refuses: it says what is wrong, and the policy in force stays.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import { ADD_MAC, CONTROL_RULES, policy } from './lab/commands.ts';
import { WORKLOAD } from './lab/lab.ts';
import { sendLarge } from './lab/large.ts';
import { AS_RULES, policed, RULES } from './lab/policed.ts';
import { COMMAND_NAMES, type CommandName } from './protocol/commands.ts';
import { ERROR_CODE, NO_MAC } from './protocol/reports.ts';

const { mac: MAC, iface } = WORKLOAD;
const on = policed(['-d', 'error,policy'], async (client) => {
  await client.send(ADD_MAC);
  await client.ask(policy(RULES), 'policyRealized');
});
const { lab } = on;

describe('a policy in force survives', () => {
  const bad = (change: object) => policy([...CONTROL_RULES, { ...rule({ id: 3 }), ...change }]);
  const many = Array.from({ length: 20 }, (_, i) => rule({ id: 10 + i, local: `10.77.1.${i}` }));
  const cases: readonly [says: string, message: object | string | Uint8Array, code: number, text: RegExp][] = [
    ['what is not JSON', '{"ctrl_cfg_policy": ', ERROR_CODE.notJson, /not JSON/],
    ['an unknown command', { ctrl_cfg_polic: {} }, ERROR_CODE.unknownCommand, /unknown command "ctrl_cfg_polic"/],
    ['an unknown member', policy([], { macs: [] }), ERROR_CODE.invalidCommand, /unknown member "macs"/],
    ['a wrong type', bad({ port: '80' }), ERROR_CODE.invalidCommand, /rules\[2\]\.port: must be integer, not "80"/],
    [
      'a reversed range',
      bad({ dip: '10.0.0.2', dipr: '10.0.0.1' }),
      ERROR_CODE.invalidCommand,
      /rule 3: its dip range runs backwards/,
    ],
    [
      'an id twice',
      policy([...CONTROL_RULES, ...CONTROL_RULES]),
      ERROR_CODE.invalidCommand,
      /rule 1: its id is there twice/,
    ],
    ['END without START', policy([...CONTROL_RULES], { flag: 2 }), ERROR_CODE.batchOrder, /without START/],
    [
      'an unknown workload',
      policy([], { mac: ['02:00:00:00:00:99'] }),
      ERROR_CODE.unknownMac,
      /no workload 02:00:00:00:00:99/,
    ],
    [
      'more than the kernel’s tables take',
      policy([...CONTROL_RULES, ...many]),
      ERROR_CODE.policyTooLarge,
      /22 kinds of local address, egress; at most 16 fit: 6 too many/,
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
      const error = await on.client.ask(message, 'error');
      assert.equal(error.code, code, error.text);
      assert.match(error.text, text);
      await on.dp.said(JSON.stringify(error.text));
    });
  it('START without END, whatever comes between', async () => {
    await on.client.send(policy([...CONTROL_RULES], { flag: 1 }));
    await on.client.ask(policy([...CONTROL_RULES], { flag: 2, defact: 1 }), 'error');
    await on.client.settled();
  });
  it('all of these', async () => {
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
  });
});

describe('a command that is not supported yet', () => {
  const bodies: Partial<Record<CommandName, object>> = {
    ctrl_bld_dlp: { flag: 3, mac: null },
    ctrl_cfg_dlp: { flag: 3, mac: [MAC] },
  };
  for (const [name, body] of Object.entries(bodies))
    it(`is answered so: ${name}`, async () => {
      const error = await on.client.ask({ [name]: body }, 'error');
      const number = COMMAND_NAMES.indexOf(name as CommandName) + 1; // the keys of bodies
      assert.deepEqual(
        [error.code, error.command, error.text],
        [ERROR_CODE.notSupported, number, `${name}: not supported yet`],
      );
    });
});

describe('the datagram', () => {
  it('of several commands is carried out in order, past the ones that are refused', async () => {
    await on.client.send({
      ctrl_keep_alive: { seq_num: 1 },
      ctrl_nonsense: {},
      ctrl_del_mac: { iface: 'lo', mac: MAC },
      ctrl_sys_conf: { xff_enabled: true },
    });
    await on.client.settled();
    const codes = on.client.received
      .slice(-5, -1)
      .map(({ report }) => (report.kind === 'error' ? report.code : report.kind));
    assert.deepEqual(codes, ['keepAlive', ERROR_CODE.unknownCommand, ERROR_CODE.unknownMac, ERROR_CODE.notSupported]);
  });
  it('of 250 KiB is taken whole', async () => {
    const filler = Array.from({ length: 900 }, (_, i) => rule({ id: 2000 + i, peer: `10.9.${i >> 8}.${i & 255}` }));
    const text = JSON.stringify(policy([...RULES, ...filler]));
    sendLarge(lab.listen, text + ' '.repeat(250 * 1024 - text.length));
    const { realized } = await on.agent.next('policyRealized', (report) => report.realized.rules > RULES.length);
    assert.equal(realized.rules, RULES.length + filler.length);
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
  });
  it('of 256 KiB is taken, and one byte more is not', async () => {
    const text = '{"ctrl_keep_alive": {"seq_num": 1}}';
    sendLarge(lab.listen, text + ' '.repeat(256 * 1024 - text.length));
    await on.agent.next('keepAlive');
    sendLarge(lab.listen, text + ' '.repeat(256 * 1024 + 1 - text.length));
    const { code, command, mac, text: words } = await on.agent.next('error');
    assert.deepEqual([code, command, mac], [ERROR_CODE.tooLarge, 0, NO_MAC]);
    assert.equal(words, '262,145 bytes in a message; at most 262,144 fit: 1 too many; send policies in batches');
  });
  it('of 300 KiB is refused', async () => {
    sendLarge(lab.listen, Buffer.alloc(300 * 1024, '{'));
    assert.equal(
      (await on.agent.next('error')).text,
      '307,200 bytes in a message; at most 262,144 fit: 45,056 too many; send policies in batches',
    );
    assert.deepEqual(await on.traffic.verdicts(), AS_RULES);
  });
});
