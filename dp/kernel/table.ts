// A kernel hash table with typed keys and values, by the codecs derived from abi.h.

import { LimitExceeded } from '../limits.ts';
import type { Codec } from './abi.gen.ts';
import { visitEntries } from './bulk.ts';
import type { Changes } from './changes.ts';
import { deleteElement, isKernelError, lookupElement, mapShape, takeElement, updateElement } from './libbpf.ts';

const bytesOf = <T>(codec: Codec<T>, value: T): Uint8Array => {
  const bytes = new Uint8Array(codec.size);
  codec.write(new DataView(bytes.buffer), 0, value);
  return bytes;
};

export class Table<K, V> {
  readonly #fd: number;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  readonly #changes: Changes | undefined;
  readonly #contents: string;

  /**
   * `contents`: what its entries are, as a plural. `changes`: where what is written is noted, to be undone with the rest
   * of a command.
   */
  constructor(fd: number, key: Codec<K>, value: Codec<V>, contents = 'entries', changes?: Changes) {
    this.#contents = contents;
    this.#changes = changes;
    this.#fd = fd;
    this.#key = key;
    this.#value = value;
  }

  get(key: K): V | undefined {
    return this.#read(key, lookupElement);
  }

  /** Removes the entry in the same step. */
  take(key: K): V | undefined {
    this.#note(key);
    return this.#read(key, takeElement);
  }

  #read(key: K, call: typeof lookupElement): V | undefined {
    const bytes = new Uint8Array(this.#value.size);
    try {
      call(this.#fd, bytesOf(this.#key, key), bytes);
    } catch (error) {
      if (isKernelError(error, 'ENOENT')) return undefined;
      throw error;
    }
    return this.#value.read(new DataView(bytes.buffer), 0);
  }

  /** Replaces the entry as a whole; throws LimitExceeded where the table is full. */
  set(key: K, value: V): void {
    this.#note(key);
    try {
      updateElement(this.#fd, bytesOf(this.#key, key), bytesOf(this.#value, value), 0);
    } catch (error) {
      if (isKernelError(error, 'E2BIG')) throw new LimitExceeded(this.#contents, this.room + 1, this.room);
      throw error;
    }
  }

  /** How many entries fit. */
  get room(): number {
    return mapShape(this.#fd).maxEntries;
  }

  /** Whether there was such an entry. */
  delete(key: K): boolean {
    this.#note(key);
    try {
      deleteElement(this.#fd, bytesOf(this.#key, key));
      return true;
    } catch (error) {
      if (isKernelError(error, 'ENOENT')) return false;
      throw error;
    }
  }

  #note(key: K): void {
    if (!this.#changes?.areOpen) return;
    const before = this.get(key);
    this.#changes.undoBy(() => {
      if (before === undefined) this.delete(key);
      else this.set(key, before);
    });
  }

  /** Every entry that `isWanted` says yes to; what changes meanwhile may be missed or come twice. */
  entries(isWanted: (values: DataView, at: number) => boolean = () => true): [K, V][] {
    const found: [K, V][] = [];
    visitEntries(this.#fd, this.#key.size, this.#value.size, (keys, keyAt, values, valueAt) => {
      if (isWanted(values, valueAt)) found.push([this.#key.read(keys, keyAt), this.#value.read(values, valueAt)]);
    });
    return found;
  }
}
