// How values are spread over bounds: what a histogram shows.
import type { Counted } from './definition.ts';

export class Distribution implements Counted {
  readonly counts: number[];
  readonly #bounds: readonly number[];
  sum = 0;

  /** `bounds`: ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  add(value: number): void {
    const at = this.#bounds.findIndex((bound) => value <= bound);
    const place = at < 0 ? this.#bounds.length : at;
    this.counts[place] = (this.counts[place] ?? 0) + 1;
    this.sum += value;
  }
}
