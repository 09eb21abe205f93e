// Changes which rules some nodes of a port tree name, and leaves the rest of the tree as it is.
import { HEADER_RECORDS, RECORD_WORDS } from './blob.ts';
import { EMPTY, isEmpty, NONE, type NodeList } from './port-nodes.ts';
import { type Coverage, visitCovered } from './port-segments.ts';

/** A place is one of the two ranks of one node. */
export class TreeEdit {
  readonly #list: NodeList;
  /** Index of a place among the values, by node. */
  readonly #base = new Map<number, number>();
  readonly #app = new Map<number, number>();
  /** By the values that were set: by node that is on the way to a place: record before → record after. */
  readonly #done = new Map<string, Map<number, Map<number, number>>>();
  readonly #onTheWay = new Set<number>();

  /** Edits the places that any of these cover. */
  constructor(list: NodeList, covered: readonly Coverage[]) {
    this.#list = list;
    for (const coverage of covered)
      visitCovered(coverage, (node, isApp) => {
        const places = isApp ? this.#app : this.#base;
        if (!places.has(node)) places.set(node, this.places);
        for (let at = node; at > 0; at >>= 1) this.#onTheWay.add(at);
      });
  }

  /** How many there are. */
  get places(): number {
    return this.#base.size + this.#app.size;
  }

  /** The indexes of those that these cover too. */
  placesOf(coverage: Coverage): number[] {
    const found: number[] = [];
    visitCovered(coverage, (node, isApp) => {
      const place = (isApp ? this.#app : this.#base).get(node);
      if (place !== undefined) found.push(place);
    });
    return found;
  }

  /** From a tree's root to that of one that has these ranks in its places. */
  to(values: readonly number[]): (root: number) => number {
    const key = values.join();
    const done = this.#done.get(key) ?? new Map<number, Map<number, number>>();
    this.#done.set(key, done);
    return (root) => this.#edit(root, 1, values, done);
  }

  #edit(record: number, node: number, values: readonly number[], done: Map<number, Map<number, number>>): number {
    if (!this.#onTheWay.has(node)) return record;
    let ofNode = done.get(node);
    if (!ofNode) {
      ofNode = new Map();
      done.set(node, ofNode);
    }
    const known = ofNode.get(record);
    if (known !== undefined) return known;
    const at = record * RECORD_WORDS;
    const words = this.#list.words;
    const isThere = record !== EMPTY;
    const left = this.#edit(isThere ? (words[at] as number) : EMPTY, 2 * node, values, done);
    const right = this.#edit(isThere ? (words[at + 1] as number) : EMPTY, 2 * node + 1, values, done);
    const base = values[this.#base.get(node) ?? -1] ?? (isThere ? (words[at + 2] as number) : NONE);
    const app = values[this.#app.get(node) ?? -1] ?? (isThere ? (words[at + 3] as number) : NONE);
    const after = this.#recordOf(record, left, right, base, app);
    ofNode.set(record, after);
    return after;
  }

  #recordOf(before: number, left: number, right: number, base: number, app: number): number {
    if (isEmpty(left, right, base, app)) return EMPTY;
    const isSame = before >= HEADER_RECORDS && this.#list.isNode(before, left, right, base, app);
    return isSame ? before : this.#list.append(left, right, base, app);
  }
}
