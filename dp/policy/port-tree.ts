// A tree over port segments that says which active rule decides: rules come and go, and each snapshot stays.
import { NONE, type NodePool } from './port-nodes.ts';
import { type Coverage, visitCovered } from './port-segments.ts';
import { RankHeap } from './rank-heap.ts';

export class PortTree {
  readonly #leaves: number;
  readonly #pool: NodePool;
  readonly #coverage: readonly Coverage[];
  readonly #active: Uint8Array;
  readonly #base: (RankHeap | undefined)[];
  readonly #app: (RankHeap | undefined)[];
  readonly #records: Uint32Array;
  readonly #dirty: Uint8Array;

  /** `coverage` is by rank; no range of it ends within a leaf. */
  constructor(depth: number, pool: NodePool, coverage: readonly Coverage[]) {
    this.#leaves = 2 ** depth;
    this.#pool = pool;
    this.#coverage = coverage;
    this.#active = new Uint8Array(coverage.length);
    this.#base = new Array(this.#leaves * 2);
    this.#app = new Array(this.#leaves * 2);
    this.#records = new Uint32Array(this.#leaves * 2);
    this.#dirty = new Uint8Array(this.#leaves * 2);
  }

  add(rank: number): void {
    this.#active[rank] = 1;
    this.#cover(rank, true);
  }

  remove(rank: number): void {
    this.#active[rank] = 0;
    this.#cover(rank, false);
  }

  /** The record of the tree as it is now. */
  snapshot(): number {
    return this.#rebuild(1);
  }

  #cover(rank: number, push: boolean): void {
    visitCovered(this.#coverage[rank] as Coverage, (node, isApp) => {
      const heaps = isApp ? this.#app : this.#base;
      heaps[node] ??= new RankHeap();
      if (push) heaps[node].push(rank);
      for (let at = node; at > 0 && !this.#dirty[at]; at >>= 1) this.#dirty[at] = 1;
    });
  }

  #rebuild(node: number): number {
    if (!this.#dirty[node]) return this.#records[node] as number;
    this.#dirty[node] = 0;
    const inner = node < this.#leaves;
    const left = inner ? this.#rebuild(2 * node) : 0;
    const right = inner ? this.#rebuild(2 * node + 1) : 0;
    const base = this.#base[node]?.lowest(this.#active) ?? NONE;
    const app = this.#app[node]?.lowest(this.#active) ?? NONE;
    const record = this.#pool.intern(left, right, base, app);
    this.#records[node] = record;
    return record;
  }
}
