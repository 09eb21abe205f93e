// The lowest of many ranks, while ranks come and go.
import { NONE } from './port-nodes.ts';

/** Ranks in a binary heap; what is no longer active leaves when it comes to the top. */
export class RankHeap {
  readonly #ranks: number[] = [];

  get isEmpty(): boolean {
    return this.#ranks.length === 0;
  }

  push(rank: number): void {
    const ranks = this.#ranks;
    let i = ranks.length;
    for (; i > 0; ) {
      const parent = (i - 1) >> 1;
      const above = ranks[parent] as number;
      if (above <= rank) break;
      ranks[i] = above;
      i = parent;
    }
    ranks[i] = rank;
  }

  lowest(active: Uint8Array): number {
    const ranks = this.#ranks;
    while (ranks.length > 0 && !active[ranks[0] as number]) this.#pop();
    return ranks.length > 0 ? (ranks[0] as number) : NONE;
  }

  #pop(): void {
    const ranks = this.#ranks;
    const last = ranks.pop() as number;
    const length = ranks.length;
    if (length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      if (child + 1 < length && (ranks[child + 1] as number) < (ranks[child] as number)) child++;
      if ((ranks[child] as number) >= last) break;
      ranks[i] = ranks[child] as number;
      i = child;
    }
    ranks[i] = last;
  }
}
