// Reads a hash table in bulk: thousands of entries are too many to ask for one by one.
import { lookupBatch } from './libbpf.ts';

const BATCH = 4096;
const TOKEN_BYTES = 8;

/** Calls `visit` with where each entry's key and value lie; what changes meanwhile may be missed or come twice. */
export function visitEntries(
  fd: number,
  keyBytes: number,
  valueBytes: number,
  visit: (keys: DataView, keyAt: number, values: DataView, valueAt: number) => void,
): void {
  const keys = new Uint8Array(BATCH * keyBytes);
  const values = new Uint8Array(BATCH * valueBytes);
  const [keyView, valueView] = [new DataView(keys.buffer), new DataView(values.buffer)];
  let from: Uint8Array | null = null;
  for (;;) {
    const next = new Uint8Array(TOKEN_BYTES);
    const { count, isLast } = lookupBatch(fd, from, next, keys, values, BATCH);
    for (let i = 0; i < count; i++) visit(keyView, i * keyBytes, valueView, i * valueBytes);
    if (isLast) return;
    from = next;
  }
}
