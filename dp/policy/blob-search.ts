// The search of bpf/include/classifier.h over a policy's blob, to test the compiler without a kernel. Pure.
import { type Words as Address, compareAddress } from '../kernel/address.ts';
import type { Direction } from './classifier.ts';

export type Query = {
  readonly direction: Direction;
  readonly local: Address;
  readonly peer: Address;
  /** Protocol << 16 | port. */
  readonly key: number;
  /** 0 while it is not known. */
  readonly application: number;
  /** FQDN ids of the peer. */
  readonly names: readonly number[];
};

/** Ranks; NONE where no rule matches. `app`: the lowest rule that has applications, whichever these are. */
export type Match = { readonly base: number; readonly app: number };

export const NONE = 0xffffffff;
const MAX_STEPS = 18;
const HEADER = { depth: 1, ports: 2, locals: 4, rules: 8 } as const; // words of struct policy_header

type Table = readonly [record: number, count: number];

export class BlobSearch {
  readonly #words: Uint32Array;

  constructor(blob: Uint8Array) {
    this.#words = new Uint32Array(blob.buffer, blob.byteOffset, blob.length / 4);
  }

  classify({ direction, local, peer, key, application, names }: Query): Match {
    const scope = this.#address(this.#table(HEADER.locals + 2 * (direction === 'ingress' ? 1 : 0)), local) * 4;
    const ports = this.#table(HEADER.ports);
    const [, segment] = this.#step(ports, key);
    const [, own] = application === 0 ? [0, segment] : this.#step(ports, application * 0x1000000 + key);
    const table = this.#table(scope + 2);
    const named = names.map((id) => this.#step(table, id)).filter(([start], i) => start === names[i]);
    const roots = [this.#address(this.#table(scope), peer), ...named.map(([, root]) => root)];
    const found = roots.flatMap((root) => [this.#descend(root, segment), this.#descend(root, own)]);
    return {
      base: Math.min(...found.map(({ base }) => base)),
      app: Math.min(...found.map(({ app }) => app)),
    };
  }

  rule(rank: number): { readonly id: number; readonly action: number } {
    const at = this.#word(HEADER.rules) * 4 + 2 * rank;
    return { id: this.#word(at), action: this.#word(at + 1) };
  }

  #descend(root: number, segment: number): Match {
    let [base, app, record, depth] = [NONE, NONE, root, this.#word(HEADER.depth)];
    for (let i = 0; i <= MAX_STEPS && record !== 0; i++) {
      base = Math.min(base, this.#word(record * 4 + 2));
      app = Math.min(app, this.#word(record * 4 + 3));
      depth -= 1;
      record = this.#word(record * 4 + ((segment >>> (depth & 31)) & 1));
    }
    return { base, app };
  }

  #address([record, count]: Table, at: Address): number {
    const found = this.#last(count, (k) => {
      const [b, a, d, c] = [0, 1, 2, 3].map((i) => this.#word((record + k) * 4 + i)) as [
        number,
        number,
        number,
        number,
      ];
      return compareAddress([a, b, c, d], at) <= 0;
    });
    return this.#word((record + count + 1) * 4 + found);
  }

  #step([record, count]: Table, key: number): [start: number, value: number] {
    const found = this.#last(count, (k) => this.#word(record * 4 + 2 * k) <= key);
    return [this.#word(record * 4 + 2 * found), this.#word(record * 4 + 2 * found + 1)];
  }

  #last(count: number, isAtOrBefore: (k: number) => boolean): number {
    let found = 1;
    for (let [i, k] = [0, 1]; i < MAX_STEPS && k <= count; i++) {
      const goesOn = isAtOrBefore(k);
      if (goesOn) found = k;
      k = 2 * k + (goesOn ? 1 : 0);
    }
    return found;
  }

  #table(word: number): Table {
    return [this.#word(word), this.#word(word + 1)];
  }

  /** Past the end there is nothing. */
  #word(at: number): number {
    return this.#words[at] ?? 0;
  }
}
