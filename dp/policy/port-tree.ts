// A tree over port segments that says which active rule decides: rules come and go, and each snapshot stays.
import { NONE, type NodePool } from './port-nodes.ts';
import { type Coverage, visitCovered } from './port-segments.ts';
import { RankHeap } from './rank-heap.ts';

export class PortTree {
  readonly #leaves: number;
  readonly #pool: NodePool;
  readonly #coverage: readonly Coverage[];
  readonly #active: Uint8Array;
  readonly #base: Lowest;
  readonly #app: Lowest;
  readonly #records: Uint32Array;
  readonly #dirty: Uint8Array;

  /** `coverage` is by rank; no range of it ends within a leaf. */
  constructor(depth: number, pool: NodePool, coverage: readonly Coverage[]) {
    this.#leaves = 2 ** depth;
    this.#pool = pool;
    this.#coverage = coverage;
    this.#active = new Uint8Array(coverage.length);
    this.#base = new Lowest(this.#leaves * 2, this.#active);
    this.#app = new Lowest(this.#leaves * 2, this.#active);
    this.#records = new Uint32Array(this.#leaves * 2);
    this.#dirty = new Uint8Array(this.#leaves * 2);
  }

  add(rank: number): void {
    this.#active[rank] = 1;
    visitCovered(this.#coverage[rank] as Coverage, (node, isApp) => {
      if ((isApp ? this.#app : this.#base).add(node, rank)) this.#touch(node);
    });
  }

  remove(rank: number): void {
    this.#active[rank] = 0;
    visitCovered(this.#coverage[rank] as Coverage, (node, isApp) => {
      if ((isApp ? this.#app : this.#base).remove(node, rank)) this.#touch(node);
    });
  }

  /** The record of the tree as it is now. */
  snapshot(): number {
    return this.#rebuild(1);
  }

  #touch(node: number): void {
    for (let at = node; at > 0 && !this.#dirty[at]; at >>= 1) this.#dirty[at] = 1;
  }

  #rebuild(node: number): number {
    if (!this.#dirty[node]) return this.#records[node] as number;
    this.#dirty[node] = 0;
    const inner = node < this.#leaves;
    const left = inner ? this.#rebuild(2 * node) : 0;
    const right = inner ? this.#rebuild(2 * node + 1) : 0;
    const [base, app] = [this.#base.ranks[node] as number, this.#app.ranks[node] as number];
    const record = this.#pool.intern(left, right, base, app);
    this.#records[node] = record;
    return record;
  }
}

/** The lowest active rank of each node. Most nodes have one rank at a time: there is no heap until a second one comes. */
class Lowest {
  readonly ranks: Uint32Array;
  readonly #heaps: (RankHeap | undefined)[];
  readonly #active: Uint8Array;

  constructor(nodes: number, active: Uint8Array) {
    this.ranks = new Uint32Array(nodes).fill(NONE);
    this.#heaps = new Array(nodes);
    this.#active = active;
  }

  /** Whether the node has another lowest rank now. */
  add(node: number, rank: number): boolean {
    const lowest = this.ranks[node] as number;
    if (lowest !== NONE) this.#pushBeside(node, rank, lowest);
    if (rank >= lowest) return false;
    this.ranks[node] = rank;
    return true;
  }

  #pushBeside(node: number, rank: number, lowest: number): void {
    let heap = this.#heaps[node];
    if (!heap) {
      heap = new RankHeap();
      this.#heaps[node] = heap;
    }
    if (heap.isEmpty) heap.push(lowest);
    heap.push(rank);
  }

  /** The same, of a rank that is no longer active. */
  remove(node: number, rank: number): boolean {
    if (this.ranks[node] !== rank) return false;
    this.ranks[node] = this.#heaps[node]?.lowest(this.#active) ?? NONE;
    return true;
  }
}
