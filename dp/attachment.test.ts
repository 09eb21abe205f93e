// How the programs sit on an interface: by clsact as well as by TCX, and from the one to the other.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { DpProcess } from './lab/dp-process.ts';
import { Lab, WORKLOAD } from './lab/lab.ts';
import { CONTROL_PORT, type Traffic } from './lab/traffic.ts';

const { mac: MAC, iface } = WORKLOAD;
const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

let client: Agent;
let traffic: Traffic;
before(async () => {
  client = lab.client();
  traffic = await lab.traffic();
});

const RULES = [
  rule({ id: 1, ports: `udp/${CONTROL_PORT}` }),
  rule({ id: 2, ports: `udp/${CONTROL_PORT}`, direction: 'ingress' }),
  rule({ id: 1001, ports: 'udp/7001' }),
  rule({ id: 1002, ports: 'udp/7002', direction: 'ingress' }),
];

async function enforce(): Promise<void> {
  await client.send({ ctrl_add_mac: { iface, mac: MAC } });
  const policy = { cmd: 1, flag: 3, defact: 2, dir: 3, mac: [MAC], rules: RULES };
  await client.ask({ ctrl_cfg_policy: policy }, 'policyRealized');
}

const verdicts = async () => [
  await traffic.out(7001),
  await traffic.out(7002),
  await traffic.in(7001),
  await traffic.in(7002),
];
const AS_RULES = [true, false, false, true];
const UNPOLICED = [true, true, true, true];

/** Of our programs, at both hooks of the interface’s qdisc. */
function filters(): number {
  const ofHook = (hook: string): string =>
    execFileSync('nsenter', [`--net=${lab.host}`, 'tc', 'filter', 'show', 'dev', iface, hook], { encoding: 'utf8' });
  return `${ofHook('ingress')}${ofHook('egress')}`.match(/handle 0x5057 (from|to)_workload/g)?.length ?? 0;
}

const pins = (): string[] => readdirSync(`${lab.pin}/links`).map((name) => name.replace(/^\d+-/, ''));

describe('programs attached by clsact', () => {
  it('decide in both directions', async () => {
    await using _dp = await lab.start('--attach', 'clsact');
    await enforce();
    assert.deepEqual(await verdicts(), AS_RULES);
    assert.equal(filters(), 2);
    assert.deepEqual(pins(), ['clsact']);
  });
  it('go on while dp is away', async () => {
    assert.deepEqual(await verdicts(), AS_RULES);
  });
  it('are there once after dp has come back', async () => {
    await using _dp = await lab.start('--attach', 'clsact');
    await enforce();
    assert.deepEqual(await verdicts(), AS_RULES);
    assert.equal(filters(), 2);
  });
  it('give way to TCX where dp is told so', async () => {
    await using _dp = await lab.start('--attach', 'tcx');
    assert.deepEqual(await verdicts(), AS_RULES);
    assert.equal(filters(), 0);
    assert.deepEqual(pins().sort(), ['from_workload', 'to_workload']);
  });
  it('take the place of TCX where dp is told so', async () => {
    await using _dp = await lab.start('--attach', 'clsact');
    assert.deepEqual(await verdicts(), AS_RULES);
    assert.equal(filters(), 2);
    assert.deepEqual(pins(), ['clsact']);
  });
  it('are gone after --detach', async () => {
    await using detaching = new DpProcess(lab, [...lab.options, '--detach']);
    assert.equal((await detaching.ended()).code, 0);
    assert.equal(filters(), 0);
    assert.equal(existsSync(lab.pin), false);
    await traffic.begin();
    assert.deepEqual(await verdicts(), UNPOLICED);
  });
});
