// What is known of the verdict on a flow that is turned again and again, from what dp was told and has confirmed. Pure.
import type { Expectation } from './books.ts';

export type Verdict = 'open' | 'denied';

export class ProbeKnowledge {
  /** Undefined: dp was lost before it said which of two is in force. */
  #inForce: Verdict | undefined;
  readonly #told: Verdict[] = [];
  #turns = 0;

  /** dp was told of a policy that gives this verdict; it confirms policies in this order. */
  tell(verdict: Verdict): void {
    this.#told.push(verdict);
  }

  confirm(): void {
    const verdict = this.#told.shift();
    if (verdict === undefined) return;
    if (this.#inForce !== undefined && this.#inForce !== verdict) this.#turns += 1;
    this.#inForce = verdict;
  }

  /** dp is gone: what it was told and has not confirmed may be in force or not. */
  lose(): void {
    if (this.#told.some((verdict) => verdict !== this.#inForce)) this.#inForce = undefined;
    this.#told.length = 0;
  }

  get expectation(): Expectation {
    if (this.#inForce === undefined || this.#told.some((verdict) => verdict !== this.#inForce)) return 'either';
    return this.#inForce === 'open' ? 'passes' : 'dropped';
  }

  /** How often it was seen to turn. */
  get turns(): number {
    return this.#turns;
  }
}
