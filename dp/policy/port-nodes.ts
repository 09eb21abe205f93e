// The nodes of all port trees of a policy, as the blob has them: records of two child nodes and two ranks.
import { LimitExceeded } from '../limits.ts';
import { HEADER_RECORDS, RECORD_WORDS } from './blob.ts';

/** No rule; any rank is lower. */
export const NONE = 0xffffffff;
/** The tree without rules; as a record it is the blob's header. */
export const EMPTY = 0;

const MIN_RECORDS = 1 << 10;
/** 8 MiB: where more are expected, it still grows by itself. */
const MAX_EXPECTED = 1 << 19;

/** How many a policy has, where there are too many. */
export const RECORDS_OF_POLICY = {
  what: 'records of 16 bytes in a policy',
  advice: 'fewer rules, or fewer ranges that overlap, need less',
} as const;

/** Grows by nodes; those that are there never change. */
export class NodeList {
  /** A record's first word is at RECORD_WORDS times its number. */
  words: Uint32Array;
  #end: number;
  readonly #most: number;

  constructor(words: Uint32Array, end = HEADER_RECORDS, most = Number.POSITIVE_INFINITY) {
    this.words = words;
    this.#end = end;
    this.#most = most;
  }

  /** A list that continues a copy of these. */
  static from(nodes: Uint32Array): NodeList {
    const words = new Uint32Array(nodes.length + MIN_RECORDS * RECORD_WORDS);
    words.set(nodes);
    return new NodeList(words, nodes.length / RECORD_WORDS);
  }

  /** The words of all, the header's among them. */
  all(): Uint32Array {
    return this.words.subarray(0, this.#end * RECORD_WORDS);
  }

  /** The record after the last. */
  get end(): number {
    return this.#end;
  }

  /** Throws LimitExceeded. */
  append(left: number, right: number, base: number, app: number): number {
    const at = this.#end * RECORD_WORDS;
    if (at >= this.words.length) this.#grow();
    this.words[at] = left;
    this.words[at + 1] = right;
    this.words[at + 2] = base;
    this.words[at + 3] = app;
    return this.#end++;
  }

  #grow(): void {
    const { what, advice } = RECORDS_OF_POLICY;
    if (this.#end >= this.#most) throw new LimitExceeded(what, Number.POSITIVE_INFINITY, this.#most, advice);
    const grown = new Uint32Array(Math.min(this.words.length * 2, this.#most * RECORD_WORDS));
    grown.set(this.words);
    this.words = grown;
  }

  isNode(record: number, left: number, right: number, base: number, app: number): boolean {
    const at = record * RECORD_WORDS;
    const words = this.words;
    return words[at] === left && words[at + 1] === right && words[at + 2] === base && words[at + 3] === app;
  }
}

export const isEmpty = (left: number, right: number, base: number, app: number): boolean =>
  left === EMPTY && right === EMPTY && base === NONE && app === NONE;

/** Keeps each distinct node once: trees share every subtree that they can. */
export class NodePool {
  readonly list: NodeList;
  /** How often a node was asked for. */
  lookups = 0;
  #slots: Uint32Array;
  #count = 0;

  /** Records, the header's among them. */
  readonly most: number;

  /** `expected` nodes fit before it has to grow, to `most` records. */
  constructor(expected: number, most = Number.POSITIVE_INFINITY) {
    this.most = most;
    const records = Math.min(Math.max(MIN_RECORDS, Math.min(expected, MAX_EXPECTED)), most - HEADER_RECORDS);
    this.list = new NodeList(new Uint32Array((HEADER_RECORDS + records) * RECORD_WORDS), HEADER_RECORDS, most);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * records)));
  }

  /** The record of the node with these parts. */
  intern(left: number, right: number, base: number, app: number): number {
    this.lookups += 1;
    if (isEmpty(left, right, base, app)) return EMPTY;
    const mask = this.#slots.length - 1;
    for (let slot = hash(left, right, base, app) & mask; ; slot = (slot + 1) & mask) {
      const record = this.#slots[slot] as number;
      if (record === 0) return this.#insert(slot, this.list.append(left, right, base, app));
      if (this.list.isNode(record, left, right, base, app)) return record;
    }
  }

  #insert(slot: number, record: number): number {
    this.#slots[slot] = record;
    if (++this.#count * 2 > this.#slots.length) this.#rehash();
    return record;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 4);
    const mask = slots.length - 1;
    const words = this.list.words;
    for (let record = HEADER_RECORDS; record < this.list.end; record++) {
      const at = record * RECORD_WORDS;
      let slot =
        hash(words[at] as number, words[at + 1] as number, words[at + 2] as number, words[at + 3] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = record;
    }
    this.#slots = slots;
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
