// Every limit that a command can meet: the whole of the command is refused, in words that say which limit, how much fits and
// how much was wanted, and all that was there before stays. Kernel tables are smaller than usual where they are too large to fill.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { Harness } from './bpf/harness.ts';
import { rule } from './bpf/rules.ts';
import { NAMES_PER_ADDRESS } from './kernel/abi.gen.ts';
import { FLOWS } from './kernel/datapath.ts';
import { ProgramObject } from './kernel/program-object.ts';
import type { TableName } from './kernel/table-layouts.ts';
import { tooMany } from './limits.ts';
import { MAX_SUBNETS } from './networks/internal-networks.ts';
import { compileClassifier, LIMITS } from './policy/classifier.ts';
import { classifierRules } from './policy/compile.ts';
import { ROOM } from './policy/names.ts';
import { MAX_RULES } from './policy/policy.ts';
import { NodePool } from './policy/port-nodes.ts';
import { MAX_SEGMENTS } from './policy/port-segments.ts';
import { APPLICATION } from './protocol/applications.ts';
import { type Command, commandSchemas, type PolicyConfig, type PolicyRule } from './protocol/commands.ts';
import { CommandError } from './protocol/errors.ts';
import { parseCommands } from './protocol/parse.ts';
import { ERROR_CODE } from './protocol/reports.ts';
import { MAX_COMMAND_BYTES } from './protocol/values.ts';

const OBJECT = `${import.meta.dirname}/bpf/build/policy.bpf.o`;
const SMALL = {
  fqdn_names: 20,
  address_names: 8,
  listeners: 8,
  endpoint_addresses: 8,
  policies: 4,
  ports: 1,
  endpoints: 259,
} as const;
const harness = new Harness(SMALL);
after(() => harness[Symbol.dispose]());
const { datapath, engine } = harness;
const [workload, other, third] = [harness.workload(), harness.workload(), harness.workload()];

const NETNS = `podwall-limits-${process.pid}`;
execFileSync('ip', ['netns', 'add', NETNS]);
after(() => execFileSync('ip', ['netns', 'delete', NETNS]));

const count = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const address = (net: number, i: number): string => `10.${net}.${i >> 8}.${i & 255}`;
const policy = (rules: PolicyRule[], more: Partial<PolicyConfig> = {}): Command => ({
  name: 'ctrl_cfg_policy',
  body: { cmd: 1, flag: 3, defact: 2, dir: 3, mac: [workload.mac], rules, ...more },
});
const setName = (fqdn_name: string, fqdn_ips: string[]): Command => ({
  name: 'ctrl_cfg_set_fqdn',
  body: { fqdn_name, fqdn_ips },
});
const tap = (iface: string, epmac: string): Command => ({
  name: 'ctrl_add_tap_port',
  body: { netns: `/run/netns/${NETNS}`, iface, epmac },
});
const listen = (mac: string, ports: number): Command => ({
  name: 'ctrl_cfg_mac',
  body: { macs: [mac], apps: count(ports, (i) => ({ ip_proto: 6, port: 80 + i, app: 100 })) },
});

/** What is in force before each case. */
const BEFORE: readonly Command[] = [
  setName('one.test', ['10.1.0.1', '10.1.0.2']),
  policy([rule({ id: 1, ports: 'tcp/443' }), rule({ id: 2, peer: 'fqdn:one.test', ports: 'tcp/80' })]),
  policy([rule({ id: 3, ports: 'udp/53' })], { mac: [other.mac] }),
  policy([rule({ id: 4, ports: 'udp/54' })], { mac: [third.mac] }),
  listen(other.mac, 6),
  { name: 'ctrl_cfg_internal_net', body: { flag: 3, subnet_addr: [{ ip: '10.0.0.0', mask: '255.0.0.0' }] } },
];
for (const command of BEFORE) engine.carryOut(command);

/** All that commands change, but for the epochs of workloads; and what packets meet. */
const state = (): object => ({
  names: engine.names.list(),
  kernelNames: new Set(datapath.names.entries()),
  addressNames: new Set(datapath.addressNames.entries()),
  endpointAddresses: new Set(datapath.endpointAddresses.entries()),
  listeners: new Set(datapath.listeners.entries()),
  ports: new Set(datapath.ports.entries()),
  subnets: engine.networks.list(),
  endpoints: datapath.endpoints.entries().length,
  workloads: engine.workloads.all().map((one) => [one.mac, one.policy, one.addresses, one.state.policy]),
  verdicts: [
    workload.sendUdp('10.1.0.1', 53),
    other.sendUdp('10.1.0.1', 53),
    workload.connectionTo('10.1.0.2', 80).open(),
  ],
});

/** 24 bounds of ports a rule, no two of them the same: each application has its own. */
const withAllApplications = (i: number): PolicyRule =>
  rule({
    id: i + 1,
    ports: `tcp/${2 * i + 1}`,
    apps: Object.fromEntries(Object.keys(APPLICATION).map((name) => [name, 1])),
  });
const BOUNDS = 2 * (1 + Object.keys(APPLICATION).length);
const SEGMENT_RULES = Math.ceil(MAX_SEGMENTS / BOUNDS);

type Case = readonly [limit: string, commands: () => readonly Command[], text: RegExp];
const CASES: readonly Case[] = [
  [
    'rules in a policy, in batches',
    () => {
      const full = count(1000, (i) => rule({ id: i + 1 }));
      return count(67, (i) => policy(i === 66 ? [] : full, { flag: i === 0 ? 1 : i === 66 ? 2 : 0 }));
    },
    /^ctrl_cfg_policy: 66,000 rules in a policy; at most 65,536 fit: 464 too many; /,
  ],
  [
    'rules in a policy, by a change',
    () => [
      policy(
        count(MAX_RULES, (i) => rule({ id: i + 3 })),
        { cmd: 3 },
      ),
    ],
    /^ctrl_cfg_policy: 65,538 rules in a policy; at most 65,536 fit: 2 too many; /,
  ],
  [
    'kinds of local address',
    () => [policy(count(20, (i) => rule({ id: i + 1, local: address(9, 2 * i) })))],
    /^ctrl_cfg_policy: 21 kinds of local address, egress; at most 16 fit: 5 too many; /,
  ],
  [
    'ranges of ports',
    () => [policy(count(SEGMENT_RULES, withAllApplications))],
    /^ctrl_cfg_policy: 262,\d{3} ranges of ports in a policy, of each application its own; at most 262,143 fit: \d+ too many; /,
  ],
  [
    'domain names',
    () => [policy(count(24, (i) => rule({ id: i + 1, peer: `fqdn:h${i}.test` })))],
    /^ctrl_cfg_policy: 25 domain names of rules and addresses; at most 20 fit: 5 too many; /,
  ],
  [
    'addresses of domain names',
    () => [
      setName(
        'two.test',
        count(9, (i) => address(2, i)),
      ),
    ],
    /^ctrl_cfg_set_fqdn: 11 addresses of domain names; at most 8 fit: 3 too many$/,
  ],
  [
    'listeners',
    () => [listen(workload.mac, 5)],
    /^ctrl_cfg_mac: 11 listeners of all workloads, .*; at most 8 fit: 3 too many$/,
  ],
  [
    'addresses of workloads',
    () => [
      {
        name: 'ctrl_add_mac',
        body: { mac: workload.mac, iface: 'lo', pips: count(9, (i) => ({ ip: address(3, i) })) },
      },
    ],
    /^ctrl_add_mac: 9 addresses of all workloads, .*; at most 8 fit: 1 too many$/,
  ],
  [
    'different policies',
    () => [policy([rule({ id: 5 })])],
    /^ctrl_cfg_policy: 4 different policies in the kernel, .*; at most 3 fit: 1 too many; workloads with the same rules share one$/,
  ],
  [
    'subnets',
    () =>
      count(2, (i) => ({
        name: 'ctrl_cfg_internal_net',
        body: { flag: i + 1, subnet_addr: count(40_000, (n) => ({ ip: address(i, n), mask: '255.255.255.255' })) },
      })) as Command[], // flags 1 and 2
    /^ctrl_cfg_internal_net: 80,000 subnets; at most 65,536 fit: 14,464 too many$/,
  ],
];

describe('a command that wants more than fits is refused whole, in words', () => {
  for (const [limit, commands, text] of CASES)
    it(limit, () => {
      const before = state();
      const all = commands();
      for (const command of all.slice(0, -1)) engine.carryOut(command);
      const isRight = (error: unknown) =>
        error instanceof CommandError && error.code === ERROR_CODE.policyTooLarge && text.test(error.message);
      assert.throws(() => engine.carryOut(all.at(-1) ?? assert.fail()), isRight);
      assert.deepEqual(state(), before);
    });
  it('workloads and interfaces, and watched ones', () => {
    execFileSync('ip', ['-n', NETNS, 'link', 'add', 'tap0', 'type', 'veth', 'peer', 'name', 'tap1']);
    engine.carryOut(tap('tap0', '02:00:00:00:01:00'));
    const isRefused = (message: string) => {
      const before = state();
      const add = () => engine.carryOut(tap('tap1', '02:00:00:00:01:01'));
      assert.throws(add, { code: ERROR_CODE.policyTooLarge, message: `ctrl_add_tap_port: ${message}` });
      assert.deepEqual(state(), before);
    };
    isRefused('260 workloads and interfaces of workloads; at most 259 fit: 1 too many');
    engine.workloads.remove(engine.workloads.on(1).at(-1)?.mac ?? assert.fail(), 1);
    isRefused('2 watched interfaces and queues; at most 1 fit: 1 too many');
  });
});

describe('names of an address', () => {
  it('of which there are too many leave those before, and the last is not there', () => {
    for (let i = 0; i < NAMES_PER_ADDRESS; i++) harness.setName(`n${i}.test`, ['10.5.0.1']);
    const before = state();
    assert.throws(() => harness.setName('more.test', ['10.5.0.1']), {
      message: 'ctrl_cfg_set_fqdn: 16 names of the address 10.5.0.1, with more.test; at most 15 fit: 1 too many',
    });
    assert.deepEqual(state(), before);
  });
});

describe('limits of one list or message', () => {
  const cases: readonly (readonly [says: string, command: object, text: string])[] = [
    [
      'rules in a message',
      policyOf({ rules: count(1001, (i) => rule({ id: i + 1 })) }),
      '.rules: 1,001 entries; at most 1,000 fit: 1 too many',
    ],
    [
      'workloads in a message',
      policyOf({ mac: count(70, () => workload.mac) }),
      '.mac: 70 entries; at most 64 fit: 6 too many',
    ],
    [
      'addresses of a name',
      { ctrl_cfg_set_fqdn: { fqdn_name: 'a.test', fqdn_ips: count(4100, (i) => address(4, i)) } },
      '.fqdn_ips: 4,100 entries; at most 4,096 fit: 4 too many',
    ],
  ];
  for (const [says, command, text] of cases)
    it(says, () => {
      const [parsed] = parseCommands(Buffer.from(JSON.stringify(command)));
      assert.ok(parsed && 'error' in parsed);
      assert.equal(parsed.error.message, `${Object.keys(command)[0]}${text}`);
    });
  function policyOf(more: object): object {
    return { ctrl_cfg_policy: { cmd: 1, flag: 3, defact: 2, dir: 3, mac: [workload.mac], rules: [], ...more } };
  }
});

describe('limits of what a policy compiles to', () => {
  const overlapping = (rules: number) =>
    count(rules, (i) => rule({ id: i + 1, peer: `10.0.0.0-${address(0, 2 * i + 1)}`, ports: `tcp/${i}-${2 * i + 1}` }));
  const classified = (rules: readonly PolicyRule[]) => rules.flatMap((one) => classifierRules(one, () => 1));
  it('records, while it is compiled', () => {
    assert.throws(() => compileClassifier(classified(overlapping(100)), new NodePool(16, 64)), {
      message: /^more than 64 records of 16 bytes in a policy, and no more fit; fewer rules, /,
    });
  });
  it('records, with its tables', () => {
    const rules = classified(overlapping(100));
    const { blob, nodes } = compileClassifier(rules);
    const most = nodes.length / 4;
    assert.throws(() => compileClassifier(rules, new NodePool(16, most)), {
      message: tooMany(
        'records of 16 bytes in a policy',
        blob.length / 16,
        most,
        'fewer rules, or fewer ranges that overlap, need less',
      ),
    });
    assert.deepEqual(compileClassifier(rules, new NodePool(16, blob.length / 16)).blob, blob);
  });
});

describe('the documentation of limits', () => {
  const text = readFileSync(`${import.meta.dirname}/protocol/README.md`, 'utf8');
  const rows = (text.split('\n### Limits\n')[1]?.split(/\n##/)[0] ?? '')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split('|')
        .map((cell) => cell.trim()),
    );
  it('has each with its number', () => {
    using object = new ProgramObject(OBJECT, {});
    const { tables } = object.layout();
    const room = (name: TableName): number => tables[name]?.maxEntries ?? assert.fail(name);
    const { ctrl_cfg_policy, ctrl_cfg_set_fqdn, ctrl_sys_conf } = commandSchemas;
    const defined: Readonly<Record<string, number>> = {
      'bytes in a message': MAX_COMMAND_BYTES,
      'rules in a message': ctrl_cfg_policy.properties.rules.maxItems,
      'workloads in a message': ctrl_cfg_policy.properties.mac.maxItems,
      'rules in a policy': MAX_RULES,
      'kinds of local address, each direction': LIMITS.locals,
      'ranges of ports in a policy': MAX_SEGMENTS,
      'ranges of peers’ addresses in a policy': LIMITS.intervals,
      'records of a policy': LIMITS.records,
      'different policies': room('policies') - 1,
      'workloads and interfaces of workloads': room('endpoints'),
      'addresses of all workloads': room('endpoint_addresses'),
      'listeners of all workloads': room('listeners'),
      'watched interfaces and queues': room('ports'),
      'domain names': room('fqdn_names'),
      'addresses of domain names': room('address_names'),
      'addresses of a domain name': ctrl_cfg_set_fqdn.properties.fqdn_ips.maxItems,
      'names of an address': NAMES_PER_ADDRESS,
      'internal subnets': MAX_SUBNETS,
      'DNS resolvers': ctrl_sys_conf.properties.resolvers.maxItems,
      'connections (`--flows`)': FLOWS.most,
    };
    assert.deepEqual(
      Object.fromEntries(rows.map(([what = '', most = '']) => [what, Number(most.replaceAll(',', ''))])),
      defined,
    );
    assert.deepEqual([room('fqdn_names'), room('address_names')], [ROOM.names, ROOM.addresses]);
  });
});
