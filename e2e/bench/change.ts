// How long a policy, or a change of it, takes until it is in force: from the first datagram to POLICY_REALIZED, in ms.
import { readFile } from 'node:fs/promises';
import type { PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import type { Bench } from './bench.ts';
import { addMac, changedRules, type DpClient, wholePolicy } from './dp-client.ts';
import type { Figure } from './figure.ts';
import { type CpuProfile, renderSelfTimes, selfTimes } from './profile.ts';
import { groups, RULE_SETS } from './rule-sets.ts';
import { addSilentInterfaces, startDp } from './scene.ts';
import type { Profile } from './table.ts';

const SECTION = 'From the first datagram to in force';
const RULES = 10_000;
const SERIES = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000] as const;
const TARGET_MS = { whole: 250, change: 60 } as const;
const CHANGES = 5;
const SHOWN_FUNCTIONS = 15;
const PROFILED = `${import.meta.dirname}/profiled.ts`;
const PROFILE_TIMEOUT_MS = 10_000;
const [BASE, TOP] = [10_000, 50_000] as const;
/** n log n from 10,000 rules to 50,000. */
const GROWTH = (TOP * Math.log2(TOP)) / (BASE * Math.log2(BASE));

export async function* measureChanges(bench: Bench): AsyncGenerator<Figure> {
  await using lab = await Lab.create(bench.signal);
  const [silent] = await addSilentInterfaces(lab, 1);
  if (!silent) return;
  const samples = new Map<string, number[]>();
  const add = (name: string, ms: number) => samples.set(name, [...(samples.get(name) ?? []), ms]);
  for (let round = 0; round < bench.rounds; round++) {
    bench.say(`changes: round ${round + 1} of ${bench.rounds}`);
    const { process: own, client: dp } = await startDp(lab);
    using _ = dp;
    dp.send([addMac(silent.iface, silent.mac)]);
    await dp.sync();
    const whole = (rules: readonly PolicyRule[]) => dp.enforce(wholePolicy([silent.mac], rules), 1);
    add('first after a start', await whole(groups(RULES, 100 + round)));
    for (const [set, make] of Object.entries(RULE_SETS)) {
      const rules = make(RULES);
      add(`whole: ${set}`, await whole(rules));
      for (let i = 0; i < CHANGES; i++) add(`change: ${set}`, await changeOne(dp, silent.mac, rules, i));
    }
    for (const [set, make] of bench.isQuick ? [['benign', groups] as const] : Object.entries(RULE_SETS))
      for (const count of SERIES) add(`series: ${set}: ${count}`, await whole(make(count)));
    await own.stop();
  }
  yield* figuresOf(samples);
}

/** Another port for one rule somewhere in the middle. */
function changeOne(dp: DpClient, mac: string, rules: readonly PolicyRule[], i: number): Promise<number> {
  const rule = rules[Math.floor((rules.length * (i + 1)) / (CHANGES + 2))];
  if (!rule) throw new RangeError('a policy without rules');
  const { portr: _, ...one } = rule;
  return dp.enforce(changedRules([mac], [{ ...one, port: 60_000 + i }]), 1);
}

function* figuresOf(samples: ReadonlyMap<string, number[]>): Generator<Figure> {
  const of = (name: string): number[] => samples.get(name) ?? [];
  const row = (name: string, ms: readonly number[], atMost: number): Figure => {
    return { section: SECTION, name, unit: 'ms', samples: ms, target: { atMost } };
  };
  yield row('10,000 benign rules, the first policy after a start', of('first after a start'), TARGET_MS.whole);
  for (const set of Object.keys(RULE_SETS))
    yield row(`10,000 ${set} rules, the whole policy`, of(`whole: ${set}`), TARGET_MS.whole);
  for (const set of Object.keys(RULE_SETS))
    yield row(`10,000 ${set} rules, one of them changed`, of(`change: ${set}`), TARGET_MS.change);
  for (const set of Object.keys(RULE_SETS).filter((name) => samples.has(`series: ${name}: ${TOP}`))) {
    for (const count of SERIES) {
      const name = `series: ${count.toLocaleString('en-US')} ${set} rules`;
      yield { section: SECTION, name, unit: 'ms', samples: of(`series: ${set}: ${count}`) };
    }
    const base = of(`series: ${set}: ${BASE}`);
    const growth = of(`series: ${set}: ${TOP}`).map((ms, round) => ms / (base[round] ?? Number.NaN));
    const name = `series: 50,000 against 10,000 ${set} rules (n log n)`;
    yield { section: SECTION, name, unit: 'times', samples: growth, target: { atMost: GROWTH } };
  }
}

/** What dp does in that time, by profiles of its process. */
export async function profileChanges(bench: Bench): Promise<Profile[]> {
  bench.say('changes: profiles of dp');
  await using lab = await Lab.create(bench.signal);
  const [silent] = await addSilentInterfaces(lab, 1);
  if (!silent) return [];
  const prefix = lab.file('profile');
  const { process: own, client: dp } = await startDp(lab, ['--import', `${PROFILED}?to=${prefix}`]);
  using _ = dp;
  dp.send([addMac(silent.iface, silent.mac)]);
  await dp.sync();
  const rules = groups(RULES);
  const whole = (seed: number) => dp.enforce(wholePolicy([silent.mac], groups(RULES, seed)), 1);
  const change = async () => {
    for (let i = 0; i < CHANGES; i++) await changeOne(dp, silent.mac, rules, i);
  };
  const steps = [
    { title: '10,000 benign rules, the first policy after a start', run: () => whole(1) },
    { title: '10,000 benign rules once more', run: () => whole(1) },
    { title: `one of 10,000 benign rules changed, ${CHANGES} times`, run: change },
  ];
  const profiles: Profile[] = [];
  for (const [i, { title, run }] of steps.entries()) {
    await signal(own, dp);
    await run();
    await signal(own, dp);
    const read = () => readFile(`${prefix}-${i}`, 'utf8').catch(() => undefined);
    const text = await waitFor('a profile', read, { timeoutMs: PROFILE_TIMEOUT_MS, signal: lab.signal });
    const profile: CpuProfile = JSON.parse(text); // written by V8
    profiles.push({ title: `Profile of dp: ${title}`, lines: renderSelfTimes(selfTimes(profile), SHOWN_FUNCTIONS) });
  }
  return profiles;
}

/** Starts or ends a profile; dp has taken the signal once it has answered. */
async function signal(dp: LabProcess, client: DpClient): Promise<void> {
  if (dp.pid !== undefined) process.kill(dp.pid, 'SIGUSR2');
  await client.sync();
  await client.sync();
}
