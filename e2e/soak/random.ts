// Numbers that look random and are the same in each run with the same seed. Pure.

const GOLDEN = 0x6d2b79f5;

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 up, below `end`. By mulberry32. */
  below(end: number): number {
    this.#state = (this.#state + GOLDEN) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  /** One of them; throws RangeError where there is none. */
  oneOf<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    if (chosen === undefined) throw new RangeError('none to choose from');
    return chosen;
  }
}
