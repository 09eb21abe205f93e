// Real traffic through the workload's interface, each variant in turn, round after round.

import { LabError } from '../lab/failure.ts';
import { Lab } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import type { Bench } from './bench.ts';
import { addMac, type DpClient, wholePolicy } from './dp-client.ts';
import type { Figure } from './figure.ts';
import { LOADS, type Load } from './loads.ts';
import { groups } from './rule-sets.ts';
import { addSilentInterfaces, onCpu, startDp, startServers, WORKLOAD } from './scene.ts';
import { ratios, rotated } from './statistics.ts';
import { NFTABLES, NO_PROGRAM, PODWALL, type Scene, VARIANTS } from './variants.ts';

const MOST_RULES = 10_000;
const MANY_WORKLOADS = 100;
const MACS_PER_COMMAND = 64;
const SLACK_MS = 20_000;

/** By load, then by variant: one sample a round. */
type Samples = ReadonlyMap<string, ReadonlyMap<string, number[]>>;

export async function* measureTraffic(bench: Bench): AsyncGenerator<Figure> {
  for (const workloads of bench.isQuick ? [1] : [1, MANY_WORKLOADS]) {
    await using lab = await Lab.create(bench.signal);
    const client = await lab.addWorkload(WORKLOAD);
    await startServers(lab);
    using dp = (await startDp(lab)).client;
    const silent = await addSilentInterfaces(lab, workloads - 1);
    dp.send(silent.map(({ iface, mac }) => addMac(iface, mac)));
    for (const count of bench.isQuick ? [MOST_RULES] : [0, 100, 1_000, MOST_RULES]) {
      const rules = groups(count);
      await enforceForAll(
        dp,
        silent.map(({ mac }) => mac),
        rules,
      );
      const others = silent.map((_, i) => `192.168.2.${i + 1}`);
      const scene: Scene = { lab, dp, workload: WORKLOAD, others, rules };
      const samples = await measureRounds(bench, scene, client, `${count} rules, ${workloads} workloads`);
      yield* figuresOf(samples, count, workloads);
    }
  }
}

async function enforceForAll(dp: DpClient, macs: readonly string[], rules: Scene['rules']): Promise<void> {
  for (let at = 0; at < macs.length; at += MACS_PER_COMMAND) {
    const some = macs.slice(at, at + MACS_PER_COMMAND);
    await dp.enforce(wholePolicy(some, rules), some.length);
  }
}

async function measureRounds(bench: Bench, scene: Scene, client: Namespace, what: string): Promise<Samples> {
  const samples = new Map(LOADS.map(({ name }) => [name, new Map(VARIANTS.map((one) => [one.name, [] as number[]]))]));
  for (let round = 0; round < bench.rounds; round++) {
    bench.say(`traffic, ${what}: round ${round + 1} of ${bench.rounds}`);
    for (const load of LOADS)
      for (const { name, enter } of rotated(VARIANTS, round)) {
        const leave = await enter(scene);
        samples
          .get(load.name)
          ?.get(name)
          ?.push(await measure(bench, scene.lab, client, load));
        await leave();
      }
  }
  return samples;
}

async function measure({ seconds }: Bench, lab: Lab, client: Namespace, load: Load): Promise<number> {
  const command = onCpu(0, load.client(seconds));
  const { code, stdout, stderr } = await lab.run(client, command, { timeoutMs: seconds * 1000 + SLACK_MS });
  const value = code === 0 ? load.read(stdout) : undefined;
  if (value === undefined)
    throw new LabError('CommandFailed', `${command.join(' ')} says no figure: ${stdout}${stderr}`);
  return value;
}

function* figuresOf(samples: Samples, rules: number, workloads: number): Generator<Figure> {
  const what = `${rules.toLocaleString('en-US')} rules, ${workloads === 1 ? '1 workload' : `${workloads} workloads`}`;
  for (const { name: load, unit, atLeast } of LOADS) {
    const section = `Traffic: ${load}`;
    const of = (variant: string): readonly number[] => samples.get(load)?.get(variant) ?? [];
    const base = of(NO_PROGRAM);
    yield { section, name: `${what}: ${NO_PROGRAM}`, unit, samples: base };
    for (const { name } of VARIANTS.slice(1)) {
      const figure = { section, name: `${what}: ${name}`, unit: `of ${NO_PROGRAM}`, samples: ratios(of(name), base) };
      yield name === PODWALL && rules === MOST_RULES ? { ...figure, target: { atLeast } } : figure;
    }
    if (load === LOADS.at(-1)?.name && rules === MOST_RULES)
      for (const name of Object.values(NFTABLES)) {
        const ahead = ratios(of(PODWALL), of(name));
        yield { section, name: `${what}: ${PODWALL}`, unit: `of ${name}`, samples: ahead, target: { atLeast: 1 } };
      }
  }
}
