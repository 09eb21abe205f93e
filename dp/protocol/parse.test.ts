// Reading command datagrams: what is wrong with one is said in words, and nothing is thrown.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { rule } from '../bpf/rules.ts';
import { anyDatagram, GOOD_BODIES } from './any-datagram.ts';
import { COMMAND_NAMES, commandNumber, commandOfNumber } from './commands.ts';
import { type Parsed, parseCommands } from './parse.ts';
import { ERROR_CODE } from './reports.ts';

const MAC = '02:00:00:00:00:01';
const parse = (text: string): Parsed[] => parseCommands(Buffer.from(text));
const policy = (change: object = {}) => ({
  cmd: 1,
  flag: 3,
  defact: 2,
  dir: 3,
  mac: [MAC],
  rules: [rule()],
  ...change,
});

describe('a command', () => {
  for (const name of COMMAND_NAMES)
    it(`${name} is read as it was sent`, () => {
      assert.deepEqual(parse(JSON.stringify({ [name]: GOOD_BODIES[name] })), [
        { command: { name, body: GOOD_BODIES[name] } },
      ]);
    });
  it('has a number, and the number the command', () => {
    assert.deepEqual(
      COMMAND_NAMES.map((name) => commandOfNumber(commandNumber(name))),
      COMMAND_NAMES,
    );
    assert.equal(commandOfNumber(0), undefined);
  });
  it('comes in any case of hexadecimal digits, and with names that end in a dot', () => {
    const [parsed] = parse('{"ctrl_cfg_set_fqdn": {"fqdn_name": "API.Example.COM.", "fqdn_ips": null}}');
    assert.ok(parsed && 'command' in parsed);
    const [other] = parse(`{"ctrl_del_mac": {"iface": "veth0", "mac": "AA:bb:CC:dd:EE:ff"}}`);
    assert.ok(other && 'command' in other);
  });
  it('may have null for a list, as Go has it for one that was never made', () => {
    const [parsed] = parse(JSON.stringify({ ctrl_cfg_policy: policy({ rules: null }) }));
    assert.ok(parsed && 'command' in parsed);
  });
  it('that is bad does not keep the others of its datagram from being read, in their order', () => {
    const parsed = parse('{"ctrl_keep_alive": {"seq_num": 1}, "ctrl_nonsense": {}, "ctrl_sys_conf": {}}');
    assert.deepEqual(
      parsed.map((one) => ('command' in one ? one.command.name : one.error.code)),
      ['ctrl_keep_alive', ERROR_CODE.unknownCommand, 'ctrl_sys_conf'],
    );
  });
});

describe('what is wrong is said', () => {
  const inPolicy = (change: object) => JSON.stringify({ ctrl_cfg_policy: policy(change) });
  const inRule = (change: object) => inPolicy({ rules: [rule(), { ...rule({ id: 1002 }), ...change }] });
  const at = 'ctrl_cfg_policy.rules[1]';
  const { notJson, unknownCommand, invalidCommand } = ERROR_CODE;
  const cases: readonly [says: string, datagram: string | Uint8Array, code: number, message: string | RegExp][] = [
    ['no bytes', '', notJson, /^not JSON: /],
    ['JSON that is cut short', '{"ctrl_keep_alive": {"seq', notJson, /^not JSON: /],
    ['bytes after the JSON', '{"ctrl_sys_conf": {}}{}', notJson, /^not JSON: /],
    ['bytes that are not UTF-8', Buffer.from('7b22ff223a317d', 'hex'), notJson, /^not JSON: /],
    ['a list', '[]', notJson, 'not a JSON object whose keys are commands'],
    ['a number', '7', notJson, 'not a JSON object whose keys are commands'],
    ['null', 'null', notJson, 'not a JSON object whose keys are commands'],
    ['lists within lists', '['.repeat(100_000), notJson, /^not JSON: /],
    ['no command', '{}', unknownCommand, 'no command in the message'],
    ['an unknown command', '{"ctrl_x": {}}', unknownCommand, /^unknown command "ctrl_x"; known are ctrl_cfg_policy, /],
    ['a command named like a part of every object', '{"__proto__": {}, "constructor": 1}', unknownCommand, /__proto__/],
    ['a body that is no object', '{"ctrl_keep_alive": 7}', invalidCommand, 'ctrl_keep_alive: must be object, not 7'],
    ['a list for a body', '{"ctrl_keep_alive": [7]}', invalidCommand, 'ctrl_keep_alive: must be object, not a list'],
    ['a missing member', '{"ctrl_keep_alive": {}}', invalidCommand, 'ctrl_keep_alive: seq_num is missing'],
    ['an unknown member', '{"ctrl_sys_conf": {"xff": 1}}', invalidCommand, 'ctrl_sys_conf: unknown member "xff"'],
    [
      'a wrong type',
      '{"ctrl_keep_alive": {"seq_num": "7"}}',
      invalidCommand,
      'ctrl_keep_alive.seq_num: must be integer, not "7"',
    ],
    [
      'a fraction',
      '{"ctrl_keep_alive": {"seq_num": 1.5}}',
      invalidCommand,
      'ctrl_keep_alive.seq_num: must be integer, not 1.5',
    ],
    [
      'a negative number',
      '{"ctrl_keep_alive": {"seq_num": -1}}',
      invalidCommand,
      'ctrl_keep_alive.seq_num: must be >= 0, not -1',
    ],
    [
      'a number too large',
      '{"ctrl_keep_alive": {"seq_num": 4294967296}}',
      invalidCommand,
      'ctrl_keep_alive.seq_num: must be <= 4294967295, not 4294967296',
    ],
    ['null for a rule’s id', inRule({ id: null }), invalidCommand, `${at}.id: must be integer, not null`],
    ['rule id 0', inRule({ id: 0 }), invalidCommand, `${at}.id: must be >= 1, not 0`],
    [
      'no address',
      inRule({ sip: '10.0.0.256' }),
      invalidCommand,
      `${at}.sip: "10.0.0.256" is not an IPv4 or IPv6 address`,
    ],
    [
      'an address with a zone',
      inRule({ sip: 'fe80::1%eth0' }),
      invalidCommand,
      `${at}.sip: "fe80::1%eth0" is not an IPv4 or IPv6 address`,
    ],
    ['a port too large', inRule({ port: 65_536 }), invalidCommand, `${at}.port: must be <= 65535, not 65536`],
    ['a protocol too large', inRule({ proto: 256 }), invalidCommand, `${at}.proto: must be <= 255, not 256`],
    ['an unknown action', inRule({ action: 5 }), invalidCommand, `${at}.action: 5 is not one of 1, 2, 3, 4`],
    [
      'an unknown application',
      inRule({ apps: [{ app: 7, action: 1, rid: 1 }] }),
      invalidCommand,
      /apps\[0\]\.app: 7 is not one of 100, 101, /,
    ],
    [
      'a name with a space',
      inRule({ fqdn: 'a b' }),
      invalidCommand,
      `${at}.fqdn: "a b" is not a domain name such as api.example.com or *.example.com`,
    ],
    [
      'a name too long',
      inRule({ fqdn: `${'a.'.repeat(130)}b` }),
      invalidCommand,
      /^ctrl_cfg_policy\.rules\[1\]\.fqdn: "a\.a\..*… is not a domain name/,
    ],
    ['a pattern in the middle', inRule({ fqdn: 'a.*.b' }), invalidCommand, /is not a domain name/],
    ['a misspelt member of a rule', inRule({ prot: 6 }), invalidCommand, `${at}: unknown member "prot"`],
    [
      'no MAC',
      inPolicy({ mac: ['02:00:00:00:00'] }),
      invalidCommand,
      /mac\[0\]: "02:00:00:00:00" is not a MAC address such as/,
    ],
    [
      'no MACs',
      inPolicy({ mac: [] }),
      invalidCommand,
      'ctrl_cfg_policy.mac: must NOT have fewer than 1 items, not a list',
    ],
    ['an unknown direction', inPolicy({ dir: 4 }), invalidCommand, 'ctrl_cfg_policy.dir: 4 is not one of 1, 2, 3'],
    ['an unknown kind of change', inPolicy({ cmd: 0 }), invalidCommand, 'ctrl_cfg_policy.cmd: 0 is not one of 1, 2, 3'],
    [
      'too many rules for one batch',
      inPolicy({ rules: Array(1001).fill(rule()) }),
      invalidCommand,
      /rules: 1,001 entries; at most 1,000 fit: 1 too many/,
    ],
    [
      'an interface name too long',
      '{"ctrl_add_mac": {"iface": "sixteen-letters-", "mac": "02:00:00:00:00:01"}}',
      invalidCommand,
      /^ctrl_add_mac\.iface: must NOT have more than 15 characters/,
    ],
  ];
  for (const [says, datagram, code, message] of cases)
    it(`of ${says}`, () => {
      const [parsed] = parseCommands(Buffer.from(datagram));
      assert.ok(parsed && 'error' in parsed);
      assert.equal(parsed.error.code, code);
      if (typeof message === 'string') assert.equal(parsed.error.message, message);
      else assert.match(parsed.error.message, message);
    });
  it('of objects that are nested deeper than any stack', () => {
    const depth = 80_000;
    const deep = (open: string, close: string) => open.repeat(depth) + close.repeat(depth);
    for (const value of [deep('[', ']'), `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`]) {
      const [parsed] = parse(`{"ctrl_keep_alive": {"seq_num": ${value}}}`);
      assert.ok(parsed && 'error' in parsed);
      assert.match(parsed.error.message, /^ctrl_keep_alive\.seq_num: must be integer, not an? (list|object)$/);
    }
  });
  it('with the command that it is about', () => {
    const [parsed] = parse('{"ctrl_keep_alive": {}}');
    assert.ok(parsed && 'error' in parsed);
    assert.equal(parsed.error.command, 'ctrl_keep_alive');
  });
  it('in a few words, however long the value', () => {
    const [parsed] = parse(JSON.stringify({ ctrl_add_mac: { iface: 'x'.repeat(200_000), mac: MAC } }));
    assert.ok(parsed && 'error' in parsed);
    assert.ok(parsed.error.message.length < 300);
  });
});

describe('any datagram', () => {
  it('is answered with commands or errors, each with words', () => {
    fc.assert(
      fc.property(anyDatagram, (datagram) => {
        const parsed = parseCommands(datagram);
        assert.ok(parsed.length > 0);
        for (const one of parsed) assert.ok('command' in one || one.error.message.length > 5);
      }),
      { numRuns: 3000 },
    );
  });
});
