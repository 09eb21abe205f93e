// What the kernel programs count of DNS answers: those that were learnt from, and those that could not be.
import { counter } from '../kernel/abi.gen.ts';
import type { Datapath } from '../kernel/datapath.ts';

/** Sums since the tables were made. `byTcp`: connections to resolvers, whose answers are not read. */
export type Answers = Readonly<Record<'learnt' | 'cut' | 'alien' | 'byTcp' | 'lost', bigint>>;

const NOTHING: Answers = { learnt: 0n, cut: 0n, alien: 0n, byTcp: 0n, lost: 0n };
const TEXTS = {
  cut: 'answers were too large, in fragments, truncated or malformed, and not learnt from to their end',
  alien: 'answers were to another question than was asked with their number: somebody may try to forge them',
  byTcp: 'connections by TCP to resolvers: what comes by them is not learnt from',
  lost: 'answers had addresses that there is no room for',
} as const;

export class AnswerCounts {
  readonly #datapath: Datapath;
  #told = NOTHING;

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
    this.#told = this.inKernel();
  }

  inKernel(): Answers {
    const count = (index: number) => this.#datapath.counter(index);
    return {
      learnt: count(counter.answersLearnt),
      cut: count(counter.answersCut),
      alien: count(counter.answersAlien),
      byTcp: count(counter.answersByTcp),
      lost: count(counter.answersLost),
    };
  }

  /** What was not learnt from since the last call, in words. */
  news(): string[] {
    const [before, now] = [this.#told, this.inKernel()];
    this.#told = now;
    return (Object.keys(TEXTS) as (keyof typeof TEXTS)[]) // the keys of a const object are its type's
      .filter((what) => now[what] > before[what])
      .map((what) => `${now[what] - before[what]} ${TEXTS[what]}`);
  }
}
