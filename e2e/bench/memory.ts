// Memory of policies in the kernel, and of dp with many of them; and what the change of one costs the others.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_POLICIES } from '../../dp/kernel/abi.gen.ts';
import { Lab } from '../lab/lab.ts';
import type { Bench } from './bench.ts';
import { addMac, changedRules, type DpClient, wholePolicy } from './dp-client.ts';
import type { Figure } from './figure.ts';
import { Parts } from './parts.ts';
import { groups, RULE_SETS } from './rule-sets.ts';
import { addSilentInterfaces, startDp } from './scene.ts';

const SECTION = 'Memory';
const MIB = 2 ** 20;
const TARGET = { policyMib: 8, dpMib: 120 } as const;
const RULES = 10_000;
const MANY = { workloads: 100, rules: 1_000 } as const;
const SHARING = 64; // MACs of one command
/** dp gives back what a burst of changes took once it has nothing to do. */
const IDLE_MS = 5_000;

type Silent = { readonly iface: string; readonly mac: string };

export async function* measureMemory(bench: Bench): AsyncGenerator<Figure> {
  yield* measurePolicies(bench);
  yield* measureMany(bench);
}

async function* measurePolicies(bench: Bench): AsyncGenerator<Figure> {
  await using lab = await Lab.create(bench.signal);
  using dp = (await startDp(lab)).client;
  const silent = await addSilentInterfaces(lab, SHARING + Object.keys(RULE_SETS).length);
  dp.send(silent.map(({ iface, mac }) => addMac(iface, mac)));
  using parts = new Parts({ pins: lab.pins });
  for (const [i, [set, make]] of Object.entries(RULE_SETS).entries()) {
    bench.say(`memory: 10,000 ${set} rules`);
    const mac = silent[i]?.mac ?? '';
    await dp.enforce(wholePolicy([mac], make(RULES)), 1);
    const bytes = parts.policyBytes(MAX_POLICIES).get(parts.stateOf(mac).policy) ?? 0;
    const target = { atMost: TARGET.policyMib };
    yield {
      section: SECTION,
      name: `a policy of 10,000 ${set} rules in the kernel`,
      unit: 'MiB',
      samples: [bytes / MIB],
      target,
    };
  }
  const macs = silent.slice(-SHARING).map(({ mac }) => mac);
  await dp.enforce(wholePolicy(macs, groups(MANY.rules, 7)), macs.length);
  const policies = new Set(macs.map((mac) => parts.stateOf(mac).policy)).size;
  yield {
    section: SECTION,
    name: `policies in the kernel for ${SHARING} workloads that have the same`,
    unit: '',
    samples: [policies],
    target: { atMost: 1 },
  };
}

async function* measureMany(bench: Bench): AsyncGenerator<Figure> {
  await using lab = await Lab.create(bench.signal);
  const silent = await addSilentInterfaces(lab, MANY.workloads);
  const alone: number[] = [];
  const among: number[] = [];
  const residentMib: number[] = [];
  const busyMib: number[] = [];
  const rebuilt: number[] = [];
  for (let round = 0; round < (bench.isQuick ? 1 : bench.rounds); round++) {
    bench.say(`memory: ${MANY.workloads} workloads × ${MANY.rules} rules, round ${round + 1}`);
    const { process, client: dp } = await startDp(lab);
    using _ = dp;
    for (const [i, one] of silent.entries()) {
      const rules = groups(MANY.rules, 1 + i + round * MANY.workloads);
      await dp.enforce([addMac(one.iface, one.mac), ...wholePolicy([one.mac], rules)], 1);
      if (i === 0) alone.push(await changeFirst(dp, silent, 0));
    }
    busyMib.push((await residentBytes(process.pid)) / MIB);
    await sleep(IDLE_MS);
    residentMib.push((await residentBytes(process.pid)) / MIB);
    using parts = new Parts({ pins: lab.pins });
    const before = silent.slice(1).map(({ mac }) => parts.stateOf(mac));
    among.push(await changeFirst(dp, silent, 1));
    const after = silent.slice(1).map(({ mac }) => parts.stateOf(mac));
    rebuilt.push(after.filter((state, i) => JSON.stringify(state) !== JSON.stringify(before[i])).length);
    await process.stop();
  }
  const what = `${MANY.workloads} workloads × 1,000 rules`;
  const section = SECTION;
  yield {
    section,
    name: `dp, ${what}, all different, ${IDLE_MS / 1000} s later`,
    unit: 'MiB RSS',
    samples: residentMib,
    target: { atMost: TARGET.dpMib },
  };
  yield { section, name: 'the same, when the last policy has just come into force', unit: 'MiB RSS', samples: busyMib };
  yield {
    section,
    name: `${what}: others touched by the change of one rule of one`,
    unit: '',
    samples: rebuilt,
    target: { atMost: 0 },
  };
  yield { section, name: 'one rule of 1,000 changed, the only workload', unit: 'ms', samples: alone };
  yield { section, name: `one rule of 1,000 changed, of ${what}`, unit: 'ms', samples: among };
}

function changeFirst(dp: DpClient, [first]: readonly Silent[], i: number): Promise<number> {
  const [rule] = groups(MANY.rules);
  if (!first || !rule) throw new RangeError('no workload');
  return dp.enforce(changedRules([first.mac], [{ ...rule, port: 60_000 + i }]), 1);
}

async function residentBytes(pid: number | undefined): Promise<number> {
  const kib = /^VmRSS:\s*(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}
