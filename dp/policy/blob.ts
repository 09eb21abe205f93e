// Lays a compiled policy out as the blob that bpf/include/classifier.h searches. Pure.
import type { Words as Address } from '../kernel/address.ts';

export const RECORD_WORDS = 4; // everything lies on 16-byte records, so that one index finds any of it
/** struct policy_header. */
export const HEADER_RECORDS = 3;

/** A value from each start up to the next; sorted, the first start is the first of all. */
export type AddressSteps = { readonly starts: readonly Address[]; readonly values: readonly number[] };
export type NumberSteps = { readonly starts: ArrayLike<number>; readonly values: ArrayLike<number> };

export type Layout = {
  /** The nodes of every port tree, by record: the header's are free. */
  readonly nodes: Uint32Array;
  /** Port keys → numbers of segments. */
  readonly ports: NumberSteps;
  readonly scopes: readonly { readonly peers: AddressSteps; readonly names: NumberSteps }[];
  /** Local addresses → index of `scopes`: egress, ingress. */
  readonly locals: readonly AddressSteps[];
  readonly rules: readonly { readonly id: number; readonly action: number }[];
};

type Table = readonly [record: number, count: number];

const recordsOfAddresses = ({ length }: { length: number }): number =>
  length + 1 + Math.ceil((length + 1) / RECORD_WORDS);
const recordsOfNumbers = ({ length }: { length: number }): number => Math.ceil((length + 1) / 2);

/** `depth`: bits of a segment's number. */
export function layOut({ nodes, ports, scopes, locals, rules }: Layout, depth: number): Uint8Array {
  const sizes = [
    nodes.length / RECORD_WORDS,
    recordsOfNumbers(ports.starts),
    ...scopes.map(({ peers, names }) => 1 + recordsOfAddresses(peers.starts) + recordsOfNumbers(names.starts)),
    ...locals.map(({ starts }) => recordsOfAddresses(starts)),
    Math.ceil(rules.length / 2),
  ];
  const writer = new Writer(
    nodes,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  const portTable = writer.numbers(ports);
  const records = scopes.map(({ peers, names }) => writer.scope(writer.addresses(peers), writer.numbers(names)));
  const tables = locals.map(({ starts, values }) =>
    writer.addresses({ starts, values: values.map((scope) => records[scope] ?? 0) }),
  );
  const rulesRecord = writer.rules(rules);
  return writer.finished([1, depth, ...portTable, ...tables.flat(), rulesRecord, 0]);
}

class Writer {
  readonly #words: Uint32Array;
  #end: number;

  constructor(nodes: Uint32Array, records: number) {
    this.#words = new Uint32Array(records * RECORD_WORDS);
    this.#words.set(nodes);
    this.#end = nodes.length / RECORD_WORDS;
  }

  addresses({ starts, values }: AddressSteps): Table {
    const words = this.#words;
    const count = starts.length;
    const record = this.#reserve(recordsOfAddresses(starts));
    breadthFirst(count, (k, step) => {
      const [a, b, c, d] = starts[step] as Address;
      const at = (record + k) * RECORD_WORDS;
      words[at] = b; // two little-endian 64-bit halves in host order
      words[at + 1] = a;
      words[at + 2] = d;
      words[at + 3] = c;
      words[(record + count + 1) * RECORD_WORDS + k] = values[step] as number;
    });
    return [record, count];
  }

  numbers({ starts, values }: NumberSteps): Table {
    const words = this.#words;
    const record = this.#reserve(recordsOfNumbers(starts));
    breadthFirst(starts.length, (k, step) => {
      words[record * RECORD_WORDS + 2 * k] = starts[step] as number;
      words[record * RECORD_WORDS + 2 * k + 1] = values[step] as number;
    });
    return [record, starts.length];
  }

  scope(peers: Table, names: Table): number {
    const record = this.#reserve(1);
    this.#words.set([...peers, ...names], record * RECORD_WORDS);
    return record;
  }

  rules(rules: Layout['rules']): number {
    const record = this.#reserve(Math.ceil(rules.length / 2));
    for (let rank = 0; rank < rules.length; rank++) {
      const { id, action } = rules[rank] as Layout['rules'][number];
      this.#words[record * RECORD_WORDS + 2 * rank] = id;
      this.#words[record * RECORD_WORDS + 2 * rank + 1] = action;
    }
    return record;
  }

  finished(header: readonly number[]): Uint8Array {
    this.#words.set(header);
    return new Uint8Array(this.#words.buffer, 0, this.#end * RECORD_WORDS * Uint32Array.BYTES_PER_ELEMENT);
  }

  #reserve(records: number): number {
    const record = this.#end;
    this.#end += records;
    return record;
  }
}

/** Calls `put` with every step's place in a breadth-first walk of a balanced tree: child nodes of k are 2k and 2k + 1. */
function breadthFirst(count: number, put: (k: number, step: number) => void): void {
  let next = 0;
  const visit = (k: number): void => {
    if (k > count) return;
    visit(2 * k);
    put(k, next++);
    visit(2 * k + 1);
  };
  visit(1);
}
