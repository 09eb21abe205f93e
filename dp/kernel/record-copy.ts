// Copies a record of one layout into one of another, field by field of the same name. Pure.
import type { Place, RecordLayout } from './record-layout.ts';

/**
 * Copies from one view to another, whose record is zero until then. False where a number does not fit: then it is the
 * highest that does.
 */
export type CopyRecord = (from: DataView, fromAt: number, to: DataView, toAt: number) => boolean;

type Run = { readonly from: number; readonly to: number; bytes: number };

const BYTE = 8;
/** Up to here a number is exact with a byte more at either end. */
const EXACT_BITS = 32;

/** What has the same name is copied, what is new stays zero. */
export function recordCopy(from: RecordLayout, to: RecordLayout): CopyRecord {
  const before = new Map(from.places.map((place) => [place.path, place]));
  const pairs = to.places.flatMap((place): [Place, Place][] => {
    const old = before.get(place.path);
    return old ? [[old, place]] : [];
  });
  const runs = runsOf(pairs.filter(isRun));
  const numbers = pairs.filter((pair) => !isRun(pair)).map(([old, place]) => numberCopy(old, place));
  return (source, fromAt, target, toAt) => {
    for (const run of runs) copyRun(run, source, fromAt, target, toAt);
    let isWhole = true;
    for (const copy of numbers) isWhole = copy(source, fromAt, target, toAt) && isWhole;
    return isWhole;
  };
}

const isAligned = ({ bit, bits }: Place): boolean => bit % BYTE === 0 && bits % BYTE === 0;

function isRun([old, place]: readonly [Place, Place]): boolean {
  if (!isAligned(old) || !isAligned(place)) return false;
  return old.kind === 'bytes' || place.kind === 'bytes' || (old.bits === place.bits && old.kind === place.kind);
}

function runsOf(pairs: readonly (readonly [Place, Place])[]): Run[] {
  const runs: Run[] = [];
  for (const [old, place] of [...pairs].sort(([, a], [, b]) => a.bit - b.bit)) {
    const run = { from: old.bit / BYTE, to: place.bit / BYTE, bytes: Math.min(old.bits, place.bits) / BYTE };
    const last = runs.at(-1);
    if (last && last.from + last.bytes === run.from && last.to + last.bytes === run.to) last.bytes += run.bytes;
    else runs.push(run);
  }
  return runs;
}

function copyRun({ from, to, bytes }: Run, source: DataView, fromAt: number, target: DataView, toAt: number): void {
  new Uint8Array(target.buffer, target.byteOffset + toAt + to, bytes).set(
    new Uint8Array(source.buffer, source.byteOffset + fromAt + from, bytes),
  );
}

function numberCopy(old: Place, place: Place): CopyRecord {
  if (old.bits > EXACT_BITS || place.bits > EXACT_BITS || old.kind === 'big' || place.kind === 'big')
    return largeNumberCopy(old, place);
  const most = 2 ** place.bits - 1;
  return (source, fromAt, target, toAt) => {
    const value = readBits(source, fromAt, old);
    writeBits(target, toAt, place, Math.min(value, most));
    return value <= most;
  };
}

function readBits(view: DataView, at: number, { bit, bits }: Place): number {
  const first = Math.floor(bit / BYTE);
  const last = Math.ceil((bit + bits) / BYTE);
  let word = 0;
  for (let i = last - 1; i >= first; i--) word = word * 256 + view.getUint8(at + i);
  return Math.floor(word / 2 ** (bit - first * BYTE)) % 2 ** bits;
}

/** Adds to a place that is zero. */
function writeBits(view: DataView, at: number, { bit, bits }: Place, value: number): void {
  const first = Math.floor(bit / BYTE);
  const last = Math.ceil((bit + bits) / BYTE);
  let word = value * 2 ** (bit - first * BYTE);
  for (let i = first; i < last; i++) {
    view.setUint8(at + i, view.getUint8(at + i) | (word % 256));
    word = Math.floor(word / 256);
  }
}

/** Of any width; big ones are whole bytes. */
function largeNumberCopy(old: Place, place: Place): CopyRecord {
  const most = (1n << BigInt(place.bits)) - 1n;
  return (source, fromAt, target, toAt) => {
    const value = readLarge(source, fromAt, old);
    writeLarge(target, toAt, place, value < most ? value : most);
    return value <= most;
  };
}

/** The bytes that a place lies in, the least significant first. */
function bytesOf({ bit, bits, kind }: Place): number[] {
  const first = Math.floor(bit / BYTE);
  const count = Math.ceil((bit + bits) / BYTE) - first;
  const offsets = Array.from({ length: count }, (_, i) => first + i);
  return kind === 'big' ? offsets.reverse() : offsets;
}

const shiftOf = ({ bit }: Place): bigint => BigInt(bit % BYTE);

function readLarge(view: DataView, at: number, place: Place): bigint {
  const word = bytesOf(place).reduceRight((sum, offset) => (sum << 8n) | BigInt(view.getUint8(at + offset)), 0n);
  return (word >> shiftOf(place)) & ((1n << BigInt(place.bits)) - 1n);
}

/** Adds to a place that is zero. */
function writeLarge(view: DataView, at: number, place: Place, value: bigint): void {
  let word = value << shiftOf(place);
  for (const offset of bytesOf(place)) {
    view.setUint8(at + offset, view.getUint8(at + offset) | Number(word & 0xffn));
    word >>= 8n;
  }
}

/** Reads the number of a path; undefined where the record has none of it. */
export function numberAt({ places }: RecordLayout, path: string): ((view: DataView, at: number) => number) | undefined {
  const place = places.find((one) => one.path === path);
  if (!place) return undefined;
  if (place.bits > EXACT_BITS) return (view, at) => Number(readLarge(view, at, place));
  return (view, at) => readBits(view, at, place);
}

/** Times: the later one counts. All other numbers of a count are added. */
const TIMES = /^(last_ns|reported)$/;

export function later(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

/** Adds one count to another of the same layout. */
export function addRecord({ places }: RecordLayout): (from: DataView, to: DataView) => void {
  return (from, to) => {
    for (const place of places) {
      const [a, b] = [readLarge(from, 0, place), readLarge(to, 0, place)];
      clear(to, place);
      writeLarge(to, 0, place, TIMES.test(place.path) ? later(a, b) : a + b);
    }
  };
}

function clear(view: DataView, place: Place): void {
  for (const offset of bytesOf(place)) view.setUint8(offset, 0);
}
