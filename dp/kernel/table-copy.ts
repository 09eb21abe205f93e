// Copies the entries of one hash table into another of a different layout, while programs may write to both.
import { visitEntries } from './bulk.ts';
import { isKernelError, lookupElement, updateBatch, updateElement } from './libbpf.ts';
import { type CopyRecord, numberAt, recordCopy } from './record-copy.ts';
import type { RecordLayout } from './record-layout.ts';
import type { TableLayout } from './table-layouts.ts';

/** Of both: `key` and `value` are known. */
export type TableEnd = { readonly fd: number; readonly layout: TableLayout };

/** Changes an entry's value as the new table is to have it. */
type Change = (value: DataView, at: number) => void;

const BATCH = 1024;
/** What is counted of a flow goes on in both tables, and may differ by a packet at any moment. */
const COUNTED = /packets|bytes|last_seen|reported/;
/** A table of the least recently used forgets some before it is full. */
const SHARE_KEPT = 7 / 8;
const MAX_ROUNDS = 5;

export class TableCopy {
  readonly #from: TableEnd;
  readonly #to: TableEnd;
  readonly #copyKey: CopyRecord;
  readonly #copyValue: CopyRecord;
  readonly #compared: readonly (readonly [at: number, bytes: number])[];
  readonly #keyBytes: number;
  readonly #valueBytes: number;

  constructor(from: TableEnd, to: TableEnd) {
    const [fromKey, fromValue] = [recordOf(from.layout.key), recordOf(from.layout.value)];
    const [toKey, toValue] = [recordOf(to.layout.key), recordOf(to.layout.value)];
    this.#from = from;
    this.#to = to;
    this.#copyKey = recordCopy(fromKey, toKey);
    this.#copyValue = recordCopy(fromValue, toValue);
    this.#compared = comparedBytes(fromValue, toValue);
    this.#keyBytes = toKey.bytes;
    this.#valueBytes = toValue.bytes;
  }

  /** How many entries there are to copy. */
  count(): number {
    let count = 0;
    this.#visit(() => {
      count += 1;
    });
    return count;
  }

  /**
   * Copies every entry that `isWanted`, in the place of those with the same key. Answers how many had a key or, where
   * it must fit, a value that the new layout has no room for: they are left out.
   */
  all({ isWanted = everyOne, change, mustFit = false }: Copying = {}): number {
    const keys = new DataView(new ArrayBuffer(BATCH * this.#keyBytes));
    const values = new DataView(new ArrayBuffer(BATCH * this.#valueBytes));
    let [filled, leftOut] = [0, 0];
    const flush = () => {
      if (filled > 0) updateBatch(this.#to.fd, bytesOf(keys), bytesOf(values), filled);
      bytesOf(keys).fill(0);
      bytesOf(values).fill(0);
      filled = 0;
    };
    this.#visit((key, keyAt, value, valueAt) => {
      if (!isWanted(value, valueAt)) return;
      const fits = this.#copyKey(key, keyAt, keys, filled * this.#keyBytes);
      if (!(this.#copyValue(value, valueAt, values, filled * this.#valueBytes) || !mustFit) || !fits) {
        bytesOf(keys).fill(0, filled * this.#keyBytes, (filled + 1) * this.#keyBytes);
        bytesOf(values).fill(0, filled * this.#valueBytes, (filled + 1) * this.#valueBytes);
        leftOut += 1;
        return;
      }
      change?.(values, filled * this.#valueBytes);
      filled += 1;
      if (filled === BATCH) flush();
    });
    flush();
    return leftOut;
  }

  /** As `all`, but where the new table is smaller only the newest, by the number at a path of the value. */
  newest(path: string): void {
    const age = numberAt(recordOf(this.#from.layout.value), path);
    const room = Math.floor(this.#to.layout.maxEntries * SHARE_KEPT);
    if (!age || this.#from.layout.maxEntries <= room) {
      this.all();
      return;
    }
    const ages: number[] = [];
    this.#visit((_key, _keyAt, value, valueAt) => ages.push(age(value, valueAt)));
    const oldest = Float64Array.from(ages).sort().at(-room) ?? 0;
    this.all({ isWanted: (value, at) => age(value, at) >= oldest });
  }

  /**
   * For tables that programs of both sides write to: copies those entries again which came to differ while they were
   * copied, but for what is counted, until there are none. Only one whose age is `since` or later may have changed;
   * `path` is where the age is in the value.
   */
  settle(path: string, since: number): void {
    const age = numberAt(recordOf(this.#from.layout.value), path);
    if (!age) return;
    const isActive = (value: DataView, at: number): boolean => age(value, at) >= since;
    for (let round = 0; round < MAX_ROUNDS; round++) if (this.#copyDiffering(isActive) === 0) return;
  }

  #copyDiffering(isActive: (value: DataView, at: number) => boolean): number {
    const differing: Uint8Array[] = [];
    const { keyBytes } = this.#from.layout;
    this.#visit((key, keyAt, value, valueAt) => {
      if (isActive(value, valueAt) && this.#differs(key, keyAt, value, valueAt))
        differing.push(bytesOf(key).slice(keyAt, keyAt + keyBytes));
    });
    for (const key of differing) this.#copyOne(key);
    return differing.length;
  }

  #differs(key: DataView, keyAt: number, value: DataView, valueAt: number): boolean {
    const wantedKey = empty(this.#keyBytes);
    const wanted = empty(this.#valueBytes);
    if (!this.#copyKey(key, keyAt, wantedKey, 0)) return false;
    this.#copyValue(value, valueAt, wanted, 0);
    const found = read(this.#to.fd, bytesOf(wantedKey), this.#valueBytes);
    if (!found) return true;
    const [a, b] = [bytesOf(wanted), bytesOf(found)];
    return this.#compared.some(([at, bytes]) => Buffer.compare(a.subarray(at, at + bytes), b.subarray(at, at + bytes)));
  }

  /** As it is at this moment. */
  #copyOne(oldKey: Uint8Array): void {
    const key = empty(this.#keyBytes);
    const value = empty(this.#valueBytes);
    const old = read(this.#from.fd, oldKey, this.#from.layout.valueBytes);
    if (!old || !this.#copyKey(new DataView(oldKey.buffer, oldKey.byteOffset), 0, key, 0)) return;
    this.#copyValue(old, 0, value, 0);
    updateElement(this.#to.fd, bytesOf(key), bytesOf(value), 0);
  }

  #visit(visit: Parameters<typeof visitEntries>[3]): void {
    const { keyBytes, valueBytes } = this.#from.layout;
    visitEntries(this.#from.fd, keyBytes, valueBytes, visit);
  }
}

export type Copying = {
  readonly isWanted?: (value: DataView, at: number) => boolean;
  readonly change?: Change;
  readonly mustFit?: boolean;
};

const everyOne = (): boolean => true;
const empty = (bytes: number): DataView => new DataView(new ArrayBuffer(bytes));
const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function read(fd: number, key: Uint8Array, valueBytes: number): DataView | undefined {
  const value = empty(valueBytes);
  try {
    lookupElement(fd, key, bytesOf(value));
    return value;
  } catch (error) {
    if (isKernelError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Every table that is copied names its types. */
function recordOf(record: RecordLayout | undefined): RecordLayout {
  if (!record) throw new Error('a table without types can not be copied');
  return record;
}

/** Bytes of fields that both have, and that are not counted. */
function comparedBytes(from: RecordLayout, to: RecordLayout): [number, number][] {
  const known = new Set(from.places.map(({ path }) => path));
  return to.places
    .filter(({ path }) => known.has(path) && !COUNTED.test(path))
    .map(({ bit, bits }) => {
      const first = Math.floor(bit / 8);
      return [first, Math.ceil((bit + bits) / 8) - first];
    });
}
