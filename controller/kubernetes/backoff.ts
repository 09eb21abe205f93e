// How long to wait before the next try: twice as long each time, and not all at the same moment.
import { setTimeout as sleep } from 'node:timers/promises';

export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  /** The next try is to be as soon as the first. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }

  /** Between half and all of the delay that is due, by chance. */
  nextMs(): number {
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(delayMs * 2, this.#maxMs);
    return delayMs / 2 + (Math.random() * delayMs) / 2;
  }

  /** At least so long; ends at once when the signal aborts. */
  async wait(signal: AbortSignal, atLeastMs = 0): Promise<void> {
    await sleep(Math.max(this.nextMs(), atLeastMs), undefined, { signal }).catch(() => undefined); // aborted: its owner looks
  }
}
