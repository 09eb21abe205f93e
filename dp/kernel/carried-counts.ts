// Sums that went on in a table of an earlier layout: kept beside the new one, which programs add to at the same time.
import { visitEntries } from './bulk.ts';
import { type Generation, openPinned } from './generation.ts';
import { createMap, updateElement } from './libbpf.ts';
import { close } from './libc.ts';
import { addRecord, recordCopy } from './record-copy.ts';
import { COUNT_TABLES, movesBetween, type TableLayout } from './table-layouts.ts';

type CountTable = (typeof COUNT_TABLES)[number];

export const carriedName = (table: CountTable): string => `${table}_carried`;

const HASH = 1;
const NO_PREALLOC = 1;

/** Pins what a generation carries in the next one too, where the table that it belongs to goes on. */
export function takeCarriedAlong(from: Generation, to: Generation, moved: ReadonlySet<string>): void {
  for (const name of COUNT_TABLES.filter((table) => !moved.has(table)).map(carriedName))
    if (from.has(name)) from.with(name, (fd) => to.pin(name, fd));
}

/**
 * Puts the sums of a generation that no program writes to any more beside those of the one in force. Once more does no
 * harm: each is written as a whole.
 */
export function carryCounts(from: Generation, to: Generation): void {
  const [before, now] = [from.layout(), to.layout()];
  const { moved } = movesBetween(before, now);
  for (const name of COUNT_TABLES.filter((table) => moved.has(table))) {
    const [old, present] = [before.tables[name], now.tables[name]];
    if (old && present) carry(name, from, old, to, present);
  }
}

function carry(name: CountTable, from: Generation, old: TableLayout, to: Generation, present: TableLayout): void {
  const sums = new Map<string, { key: Uint8Array; value: Uint8Array }>();
  for (const source of [name, carriedName(name)]) {
    const fd = openPinned(from, source);
    if (fd === undefined) continue;
    try {
      addEntries(fd, old, present, sums);
    } finally {
      close(fd);
    }
  }
  if (sums.size === 0) return;
  const shape = { ...present, type: HASH, flags: NO_PREALLOC, maxEntries: Math.max(sums.size, present.maxEntries) };
  const fd = createMap(carriedName(name), shape);
  try {
    for (const { key, value } of sums.values()) updateElement(fd, key, value, 0);
    to.pin(carriedName(name), fd);
  } finally {
    close(fd);
  }
}

function addEntries(
  fd: number,
  old: TableLayout,
  present: TableLayout,
  sums: Map<string, { key: Uint8Array; value: Uint8Array }>,
): void {
  if (!old.key || !old.value || !present.key || !present.value) return;
  const copyKey = recordCopy(old.key, present.key);
  const copyValue = recordCopy(old.value, present.value);
  const add = addRecord(present.value);
  visitEntries(fd, old.keyBytes, old.valueBytes, (keys, keyAt, values, valueAt) => {
    const key = new Uint8Array(present.keyBytes);
    const value = new Uint8Array(present.valueBytes);
    if (!copyKey(keys, keyAt, new DataView(key.buffer), 0)) return;
    copyValue(values, valueAt, new DataView(value.buffer), 0);
    const text = Buffer.from(key).toString('latin1');
    const sum = sums.get(text);
    if (sum) add(new DataView(value.buffer), new DataView(sum.value.buffer));
    else sums.set(text, { key, value });
  });
}
