// Many workloads on one dp: what they share, what the change of one does to the others, and how much memory they take.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rule } from './bpf/rules.ts';
import { type Endpoint, endpoint, endpointKey } from './kernel/abi.gen.ts';
import { macText } from './kernel/address.ts';
import { GENERATIONS } from './kernel/generation.ts';
import { getPinned } from './kernel/libbpf.ts';
import { close } from './kernel/libc.ts';
import { Table } from './kernel/table.ts';
import type { Agent } from './lab/agent.ts';
import { policy } from './lab/commands.ts';
import type { DpProcess } from './lab/dp-process.ts';
import { Lab, WORKLOAD } from './lab/lab.ts';

const WORKLOADS = 100;
const RULES = 1_000;
const BATCH = 250;
const MAX_RESIDENT_MIB = 120;
/** dp gives back what it no longer needs once it has nothing to do: looked at so often, so many times. */
const [LOOK_MS, LOOKS] = [500, 60] as const;

const [IN_FORCE] = GENERATIONS;
const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

const MACS = Array.from({ length: WORKLOADS }, (_, i) => `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`);
const rulesOf = (workload: number) =>
  Array.from({ length: RULES }, (_, i) =>
    rule({ id: 1001 + i, peer: `10.${workload}.${i >> 8}.${i & 255}`, ports: `tcp/${1 + ((i * 7 + workload) % 900)}` }),
  );

let client: Agent;
let dp: DpProcess;

/** A whole policy, in batches. */
async function enforce(mac: readonly string[], rules: ReturnType<typeof rulesOf>): Promise<void> {
  for (let at = 0; at < rules.length; at += BATCH) {
    const flag = (at === 0 ? 1 : 0) | (at + BATCH >= rules.length ? 2 : 0);
    await client.send(policy(rules.slice(at, at + BATCH), { flag, mac }));
  }
  for (const _ of mac) await client.next('policyRealized');
}

/** What the kernel has of each workload. */
function inForce(): Map<string, Endpoint> {
  const fd = getPinned(`${lab.pin}/${IN_FORCE}/endpoints`);
  try {
    const entries = new Table(fd, endpointKey, endpoint).entries();
    return new Map(entries.map(([{ mac }, state]): [string, Endpoint] => [macText(mac), state]));
  } finally {
    close(fd);
  }
}

const policyOf = (mac: string | undefined): number | undefined => inForce().get(mac ?? '')?.policy;

function residentMib(pid: number | undefined): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

describe('a hundred workloads of 1,000 rules each', () => {
  const [first = '', second = ''] = MACS;
  const others = () => new Map([...inForce()].filter(([mac]) => MACS.includes(mac) && mac !== first));
  before(async () => {
    dp = await lab.start();
    client = lab.agent();
    for (const mac of MACS) await client.send({ ctrl_add_mac: { iface: WORKLOAD.iface, mac } });
    for (const [i, mac] of MACS.entries()) await enforce([mac], rulesOf(i));
  });

  it('have a policy each in the kernel where their rules differ', () => {
    assert.equal(new Set(MACS.map(policyOf)).size, WORKLOADS);
  });
  it('leave all others as they are when one of them changes', async () => {
    const before = others();
    const own = policyOf(first);
    const changed = rule({ id: 1001, peer: '10.0.0.0', ports: 'tcp/65000' });
    await client.ask(policy([changed], { cmd: 2, mac: [first] }), 'policyRealized');
    assert.deepEqual(others(), before);
    assert.notEqual(policyOf(first), own);
  });
  it('keep the very policies in the kernel when all of them are sent again', async () => {
    await enforce([first], rulesOf(0));
    const before = MACS.map(policyOf);
    for (const [i, mac] of MACS.entries()) await enforce([mac], rulesOf(i));
    assert.deepEqual(MACS.map(policyOf), before);
  });
  it(`take at most ${MAX_RESIDENT_MIB} MiB of dp, once it has nothing to do`, async (t) => {
    let resident = residentMib(dp.pid);
    for (let i = 0; i < LOOKS && resident > MAX_RESIDENT_MIB; i++) {
      await sleep(LOOK_MS);
      resident = residentMib(dp.pid);
    }
    t.diagnostic(`${resident.toFixed(1)} MiB`);
    assert.ok(resident <= MAX_RESIDENT_MIB, `${resident} MiB`);
  });
  it('share one policy in the kernel where they have the same rules, sent together or one by one', async () => {
    const same = MACS.slice(0, 64);
    await enforce(same, rulesOf(200));
    assert.equal(new Set(same.map(policyOf)).size, 1);
    await enforce(MACS.slice(-1), rulesOf(200));
    assert.equal(policyOf(MACS.at(-1)), policyOf(second));
  });
});
