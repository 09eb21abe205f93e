// Compares the kernel's verdicts with the plain loop's, over one life of a policy after the other.
import { Comparison, Difference, type Judge, type OpenFlow } from '../bpf/comparison.ts';
import type { Harness, Workload } from '../bpf/harness.ts';
import type { Trial } from '../bpf/trial.ts';
import { isEcho } from '../bpf/trial-packets.ts';
import { CommandError } from '../protocol/errors.ts';
import { hasPorts, POLICY_COMMAND } from '../protocol/values.ts';
import { type Case, textOfCase } from './case.ts';
import { type Circumstances, FormCounts } from './forms.ts';
import { minimalCase } from './minimal.ts';
import { type Plan, roundsOf } from './rounds.ts';
import { AT_FIRST, after, inForce, namesBetween, type Situation, type Step } from './situation.ts';

/** Of the connections of a round, those that stay open over the next command. */
const LEFT_OPEN_EVERY = 10;
const WHOLE = 3;
const END: Step = {
  name: 'ctrl_cfg_policy',
  body: { cmd: POLICY_COMMAND.del, flag: WHOLE, defact: 1, dir: 3, mac: [], rules: [] },
};

/** A difference: in words, and the least case that shows it, unless it is one of counters. */
export type Found = { readonly said: string; readonly least: Case | undefined };

export const textOf = ({ said, least }: Found): string => (least ? textOfCase(least, said) : `  ${said}`);

export class Verdicts {
  readonly #workload: Workload;
  readonly #judge: Judge | undefined;
  #situation: Situation = AT_FIRST;
  readonly forms = new FormCounts();
  /** Packets on which both agreed. */
  verdicts = 0;
  /** Commands carried out. */
  changes = 0;

  /** `judge`: another than the reference, to see what becomes of a wrong one. */
  constructor(harness: Harness, judge?: Judge) {
    this.#workload = harness.workload();
    this.#judge = judge;
    for (const [name, addresses] of AT_FIRST.names) harness.setName(name, [...addresses]);
  }

  /**
   * A life, to its end or to the first difference. Yields after each command, for the caller to let others have
   * their turn: dp's timers take replaced policies out of the kernel.
   */
  *run(plan: Plan): Generator<undefined, Found | undefined> {
    let circumstances: Circumstances | undefined;
    const comparison = new Comparison(
      this.#workload,
      (judged) => {
        this.verdicts += 1;
        if (circumstances) this.forms.add(judged, circumstances);
      },
      this.#judge,
    );
    const steps: Step[] = [];
    let open: readonly OpenFlow[] = [];
    this.#reset();
    try {
      for (const { step, kind, trials } of roundsOf(plan)) {
        this.#carryOut(step);
        comparison.change(inForce(this.#situation));
        const { policy } = this.#situation;
        circumstances = { policy, set: plan.set, kind, isOpen: true };
        const cut = firstDifference(open, (flow) => comparison.checkNext(flow));
        if (cut) return this.#found(cut.said, { before: steps, meanwhile: [step], trial: cut.item.trial });
        steps.push(step);
        circumstances = { policy, set: plan.set, kind, isOpen: false };
        const [left, others] = partition(trials);
        const wrong = firstDifference(others, (trial) => comparison.check(trial));
        if (wrong) return this.#found(wrong.said, { before: steps, meanwhile: [], trial: wrong.item });
        const kept: OpenFlow[] = [];
        open = kept;
        const wrongOpening = firstDifference(left, (trial) => kept.push(...comparison.open(trial)));
        if (wrongOpening)
          return this.#found(wrongOpening.said, { before: steps, meanwhile: [], trial: wrongOpening.item });
        const miscounted = firstDifference([undefined], () => comparison.checkHits());
        if (miscounted) return { said: miscounted.said, least: undefined };
        yield;
      }
      return undefined;
    } finally {
      for (const flow of open) comparison.forget(flow);
    }
  }

  #found(said: string, found: Case): Found {
    const least = minimalCase(found, (candidate) => this.#saidOf(candidate) !== undefined);
    return { said: this.#saidOf(least) ?? `${said} (once, and not again)`, least };
  }

  /** The difference that a case shows by itself. */
  #saidOf({ before, meanwhile, trial }: Case): string | undefined {
    const comparison = new Comparison(this.#workload, () => {}, this.#judge);
    try {
      this.#reset();
      for (const step of before) this.#carryOut(step);
      comparison.change(inForce(this.#situation));
      if (meanwhile.length === 0) return firstDifference([trial], (one) => comparison.check(one))?.said;
      const open = comparison.open(trial);
      for (const step of meanwhile) this.#carryOut(step);
      comparison.change(inForce(this.#situation));
      return firstDifference(open, (flow) => comparison.checkNext(flow))?.said;
    } catch (error) {
      // With commands or rules left out, the rest may make no sense any more, or show another difference before.
      if (error instanceof CommandError || error instanceof Difference) return undefined;
      throw error;
    }
  }

  #reset(): void {
    if (this.#situation.policy) this.#carryOut(END);
    for (const step of namesBetween(this.#situation.names, AT_FIRST.names)) this.#carryOut(step);
  }

  #carryOut(step: Step): void {
    const { engine } = this.#workload.harness;
    engine.carryOut(
      step.name === 'ctrl_cfg_policy' ? { ...step, body: { ...step.body, mac: [this.#workload.mac] } } : step,
    );
    this.#situation = after(this.#situation, step);
    this.changes += 1;
  }
}

function firstDifference<T>(items: Iterable<T>, ask: (item: T) => void): { said: string; item: T } | undefined {
  for (const item of items)
    try {
      ask(item);
    } catch (error) {
      if (!(error instanceof Difference)) throw error;
      return { said: error.message, item };
    }
  return undefined;
}

/** Those to be left open have ports of their own, so that no other connection is taken for them. */
function partition(trials: readonly Trial[]): [left: Trial[], others: Trial[]] {
  const isLeft = (trial: Trial, i: number) => i % LEFT_OPEN_EVERY === 0 && (hasPorts(trial.protocol) || isEcho(trial));
  return [trials.filter(isLeft), trials.filter((trial, i) => !isLeft(trial, i))];
}
