// How long policies take: from when one was wanted until dp has confirmed it.
import { Distribution } from '@podwall/metrics/distribution.ts';
import type { Target } from './steps.ts';

/** In seconds. */
export const LATENCY_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

export class PolicyLatency {
  readonly seconds = new Distribution(LATENCY_BOUNDS);
  /** When each was wanted, in ms; until it is confirmed for the first time. */
  readonly #wantedAt = new WeakMap<Target, number>();

  wanted(target: Target, nowMs: number): void {
    this.#wantedAt.set(target, nowMs);
  }

  /** Once more, as after dp was lost, it counts no more. */
  confirmed(target: Target, nowMs: number): void {
    const since = this.#wantedAt.get(target);
    if (since !== undefined) this.seconds.add((nowMs - since) / 1000);
    this.forget(target);
  }

  /** It needs no confirmation. */
  forget(target: Target): void {
    this.#wantedAt.delete(target);
  }
}
