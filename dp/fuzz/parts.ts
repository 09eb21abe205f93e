// The parts of a run, each from seed to seed until its time is over, it is stopped, or it has found something. At least a little.
import { setImmediate as turn } from 'node:timers/promises';
import { Harness } from '../bpf/harness.ts';
import { Broken, Datagrams } from './datagrams.ts';
import { Frames } from './frames.ts';
import type { Part } from './options.ts';
import { planOf } from './rounds.ts';
import type { PartResult } from './summary.ts';
import { textOf, Verdicts } from './verdicts.ts';

const DATAGRAMS_PER_SEED = 5000;

export type Run = {
  readonly seed: number;
  readonly isOver: () => boolean;
  /** What it has come to so far. */
  readonly progress: (counts: Readonly<Record<string, number>>) => void;
};

export type Outcome = Omit<PartResult, 'part' | 'seconds'>;

export const FUZZERS: Readonly<Record<Part, (run: Run) => Promise<Outcome>>> = {
  verdicts: fuzzVerdicts,
  frames: fuzzFrames,
  datagrams: fuzzDatagrams,
};

async function fuzzVerdicts({ seed: first, isOver, progress }: Run): Promise<Outcome> {
  using harness = new Harness();
  const verdicts = new Verdicts(harness);
  const { forms } = verdicts;
  let policies = 0;
  const counts = () => ({ verdicts: verdicts.verdicts, policies, commands: verdicts.changes });
  for (let seed = first; policies === 0 || !isOver(); seed++) {
    policies += 1;
    const life = verdicts.run(planOf(seed));
    do {
      const { done, value } = life.next();
      if (value) return { counts: counts(), forms, finding: { seed, text: textOf(value) } };
      if (done) break;
      progress(counts());
      await turn();
    } while (!isOver());
    life.return(undefined);
  }
  return { counts: counts(), forms, finding: undefined };
}

async function fuzzFrames({ seed: first, isOver, progress }: Run): Promise<Outcome> {
  using harness = new Harness();
  const frames = new Frames(harness);
  const counts = () => ({ frames: frames.judged, passed: frames.passed, 'refused by the test run': frames.refused });
  for (let seed = first; seed === first || !isOver(); seed++) {
    const text = frames.run(seed);
    if (text) return { counts: counts(), finding: { seed, text } };
    progress(counts());
    await turn();
  }
  return { counts: counts(), finding: undefined };
}

async function fuzzDatagrams({ seed: first, isOver, progress }: Run): Promise<Outcome> {
  await using datagrams = await Datagrams.start();
  const counts = () => {
    const { sent, refused, answered, lost, realized, warmBytes, endBytes } = datagrams.counts;
    const mebibytes = (bytes: number) => Math.round(bytes / (1 << 20));
    return {
      datagrams: sent,
      'commands refused': refused,
      'of them answered': answered,
      'counted as lost': lost,
      'policies realized': realized,
      'MiB of dp at first': mebibytes(warmBytes),
      'MiB at the end': mebibytes(endBytes),
    };
  };
  let seed = first;
  try {
    for (; !isOver(); seed++) {
      await datagrams.run(seed, DATAGRAMS_PER_SEED, isOver);
      progress({ datagrams: datagrams.counts.sent, 'commands refused': datagrams.counts.refused });
    }
    await datagrams.check();
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return { counts: counts(), finding: { seed, text: `  ${error.message}` } };
  }
  return { counts: counts(), finding: undefined };
}
