// A table of sums, together with what was counted in a table of an earlier layout.
import type { Codec } from './abi.gen.ts';
import { close } from './libc.ts';
import { Table } from './table.ts';

export class CountTable<K, V> {
  readonly #present: Table<K, V>;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  readonly #openCarried: () => number | undefined;
  readonly #sum: (a: V, b: V) => V;

  /** `openCarried` opens the table of what was counted before, where there is one. */
  constructor(
    fd: number,
    key: Codec<K>,
    value: Codec<V>,
    openCarried: () => number | undefined,
    sum: (a: V, b: V) => V,
  ) {
    this.#present = new Table(fd, key, value);
    this.#key = key;
    this.#value = value;
    this.#openCarried = openCarried;
    this.#sum = sum;
  }

  get(key: K): V | undefined {
    return this.#withCarried((carried) => {
      const [before, now] = [carried?.get(key), this.#present.get(key)];
      return before !== undefined && now !== undefined ? this.#sum(before, now) : (now ?? before);
    });
  }

  /** Without what was carried. */
  present(key: K): V | undefined {
    return this.#present.get(key);
  }

  /** Replaces what is counted now, beside what was carried. */
  set(key: K, value: V): void {
    this.#present.set(key, value);
  }

  /** Whether there was such an entry. */
  delete(key: K): boolean {
    return this.#withCarried((carried) => {
      const wasCarried = carried?.delete(key) ?? false;
      return this.#present.delete(key) || wasCarried;
    });
  }

  /** Every entry; what changes meanwhile may be missed or come twice. */
  entries(): [K, V][] {
    return this.#withCarried((carried) => {
      const present = this.#present.entries();
      if (!carried) return present;
      const sums = new Map<string, [K, V]>();
      for (const [key, value] of [...carried.entries(), ...present]) {
        const name = this.#nameOf(key);
        const known = sums.get(name);
        sums.set(name, [key, known ? this.#sum(known[1], value) : value]);
      }
      return [...sums.values()];
    });
  }

  #nameOf(key: K): string {
    const bytes = Buffer.alloc(this.#key.size);
    this.#key.write(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, key);
    return bytes.toString('latin1');
  }

  #withCarried<T>(use: (carried: Table<K, V> | undefined) => T): T {
    const fd = this.#openCarried();
    if (fd === undefined) return use(undefined);
    try {
      return use(new Table(fd, this.#key, this.#value));
    } finally {
      close(fd);
    }
  }
}
