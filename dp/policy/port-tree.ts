// A persistent tree over port segments: each snapshot shares every subtree it can with all the others.

/** No rule; any rank is lower. */
export const NONE = 0xffffffff;
const WORDS = 4;
/** 1 MiB: enough for some 3,000 rules, and growing from less costs more than it saves. */
const INITIAL_RECORDS = 1 << 17;

/** Grows a blob of 16-byte records and keeps each distinct tree node once. Record 0 stands for the empty tree. */
export class NodePool {
  words = new Uint32Array(INITIAL_RECORDS * WORDS);
  #used: number;
  #slots = new Uint32Array(INITIAL_RECORDS * 2);
  #nodes = 0;

  constructor(firstFree: number) {
    this.#used = firstFree;
  }

  reserve(records: number): number {
    const record = this.#used;
    this.#used += records;
    while (this.#used * WORDS > this.words.length) {
      const grown = new Uint32Array(this.words.length * 2);
      grown.set(this.words);
      this.words = grown;
    }
    return record;
  }

  /** The record of the node with these parts. */
  intern(left: number, right: number, base: number, app: number): number {
    if (left === 0 && right === 0 && base === NONE && app === NONE) return 0;
    const mask = this.#slots.length - 1;
    for (let slot = hash(left, right, base, app) & mask; ; slot = (slot + 1) & mask) {
      const record = this.#slots[slot] as number;
      if (record === 0) return this.#insert(slot, left, right, base, app);
      const at = record * WORDS;
      const words = this.words;
      if (words[at] === left && words[at + 1] === right && words[at + 2] === base && words[at + 3] === app)
        return record;
    }
  }

  #insert(slot: number, left: number, right: number, base: number, app: number): number {
    const record = this.reserve(1);
    const at = record * WORDS;
    this.words[at] = left;
    this.words[at + 1] = right;
    this.words[at + 2] = base;
    this.words[at + 3] = app;
    this.#slots[slot] = record;
    if (++this.#nodes * 2 > this.#slots.length) this.#rehash();
    return record;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 4);
    const mask = slots.length - 1;
    for (const record of this.#slots) {
      if (record === 0) continue;
      const at = record * WORDS;
      const words = this.words;
      let slot =
        hash(words[at] as number, words[at + 1] as number, words[at + 2] as number, words[at + 3] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = record;
    }
    this.#slots = slots;
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.words.buffer, 0, this.#used * WORDS * 4);
  }
}

function hash(left: number, right: number, base: number, app: number): number {
  let h =
    Math.imul(left, 0x9e3779b1) ^
    Math.imul(right, 0x85ebca6b) ^
    Math.imul(base, 0xc2b2ae35) ^
    Math.imul(app, 0x27d4eb2f);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}

/** Ranks in a binary heap; what is no longer active leaves when it comes to the top. */
class RankHeap {
  readonly #ranks: number[] = [];

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

export class PortTree {
  readonly #leaves: number;
  readonly #pool: NodePool;
  readonly #spans: readonly (readonly (readonly [number, number])[])[];
  readonly #hasApps: readonly boolean[];
  readonly #active: Uint8Array;
  readonly #base: (RankHeap | undefined)[];
  readonly #app: (RankHeap | undefined)[];
  readonly #records: Uint32Array;
  readonly #dirty: Uint8Array;

  /** `spans[rank]` are segments, the end exclusive (0 for the end of all); the first is for any app. */
  constructor(
    depth: number,
    pool: NodePool,
    spans: readonly (readonly (readonly [number, number])[])[],
    hasApps: readonly boolean[],
  ) {
    this.#leaves = 1 << depth;
    this.#pool = pool;
    this.#spans = spans;
    this.#hasApps = hasApps;
    this.#active = new Uint8Array(spans.length);
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
    const spans = this.#spans[rank] as readonly (readonly [number, number])[];
    for (let i = 0; i < spans.length; i++) {
      const [from, to] = spans[i] as readonly [number, number];
      const heaps = i === 0 && this.#hasApps[rank] ? this.#app : this.#base;
      let low = from + this.#leaves;
      let high = (to || this.#leaves) + this.#leaves;
      for (; low < high; low >>= 1, high >>= 1) {
        if (low & 1) this.#touch(heaps, low++, rank, push);
        if (high & 1) this.#touch(heaps, --high, rank, push);
      }
    }
  }

  #touch(heaps: (RankHeap | undefined)[], node: number, rank: number, push: boolean): void {
    heaps[node] ??= new RankHeap();
    if (push) heaps[node].push(rank);
    for (let at = node; at > 0 && !this.#dirty[at]; at >>= 1) this.#dirty[at] = 1;
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
