// The copy of one range of etcd's keys, with its values read.
import type { Logger } from 'pino';
import type { Change, Entry, KeyRange } from './session.ts';

type Held<T> = Entry & { readonly value: T | undefined };

export class Replica<T> {
  readonly range: KeyRange;
  /** It was listed on this connection, and is watched since. */
  isFresh = false;
  readonly #parse: (text: string) => T;
  readonly #log: Logger;
  #held = new Map<string, Held<T>>();
  #values: readonly T[] | undefined;
  #unwatch: (() => void) | undefined;
  #isDropped = false;

  constructor(range: KeyRange, parse: (text: string) => T, log: Logger) {
    this.range = range;
    this.#parse = parse;
    this.#log = log;
  }

  /** In order of key; one array for as long as nothing changes. Values that can't be read are not among them. */
  get values(): readonly T[] {
    this.#values ??= [...this.#held.values()]
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .flatMap(({ value }) => (value === undefined ? [] : [value]));
    return this.#values;
  }

  /** Whether a listing lacks any key that is held here, or has it anew. */
  isRewritten(entries: readonly Entry[]): boolean {
    const created = new Map(entries.map(({ key, createRevision }) => [key, createRevision]));
    return [...this.#held.values()].some(({ key, createRevision }) => created.get(key) !== createRevision);
  }

  replace(entries: readonly Entry[]): void {
    const before = this.#held;
    this.#held = new Map(entries.map((entry) => [entry.key, this.#hold(entry, before.get(entry.key))]));
    this.#values = undefined;
  }

  apply(changes: readonly Change[]): void {
    for (const { key, text, createRevision } of changes) {
      if (text === undefined) this.#held.delete(key);
      else this.#held.set(key, this.#hold({ key, text, createRevision }, this.#held.get(key)));
    }
    this.#values = undefined;
  }

  /** `unwatch` ends its watch. */
  watched(unwatch: () => void): void {
    this.#unwatch = unwatch;
    if (this.#isDropped) unwatch();
  }

  /** No longer needed. */
  drop(): void {
    this.#isDropped = true;
    this.#unwatch?.();
  }

  /** The same text gives the same object. */
  #hold(entry: Entry, before: Held<T> | undefined): Held<T> {
    if (before?.text === entry.text) return { ...entry, value: before.value };
    try {
      return { ...entry, value: this.#parse(entry.text) };
    } catch (error) {
      this.#log.error({ key: entry.key, error: String(error) }, 'value in etcd is not readable');
      return { ...entry, value: undefined };
    }
  }
}
