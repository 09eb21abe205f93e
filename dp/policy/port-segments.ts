// Cuts the space of (application, protocol, port) keys into segments that every rule covers whole, and numbers them. Pure.
import { requireRoom } from '../limits.ts';
import type { Rule } from './classifier.ts';

/** Bits of a segment's number, which is a path through a port tree: as deep as the kernel side goes (MAX_STEPS). */
export const NUMBER_BITS = 18;
/** A search for one goes no deeper either. */
export const MAX_SEGMENTS = 2 ** NUMBER_BITS - 1;

/** Sorted. Numbers ascend too, and leave gaps, so that a segment can be cut in two while the others keep theirs. */
export type PortSegments = { readonly starts: Float64Array; readonly numbers: Uint32Array };

/** From a number to the one past the last; both are of segments. */
export type NumberRange = { readonly from: number; readonly to: number };

/** The keys that a rule covers, the end exclusive: those of application 0 for any flow, and the same of each of its own. */
export function keySpans({ proto, portFrom, portTo, apps }: Rule): { from: number; to: number }[] {
  const from = proto === 0 ? 0 : proto * 0x10000 + portFrom;
  const to = proto === 0 ? 0x1000000 : proto * 0x10000 + portTo + 1;
  return [0, ...apps].map((app) => ({ from: app * 0x1000000 + from, to: app * 0x1000000 + to }));
}

/** False where no key can be of both. */
export const mayShareKeys = (a: Rule, b: Rule): boolean =>
  a.proto === 0 || b.proto === 0 || (a.proto === b.proto && a.portFrom <= b.portTo && b.portFrom <= a.portTo);

/** Evenly numbered. Throws LimitExceeded. */
export function segmentsOf(rules: readonly Rule[]): PortSegments {
  const bounds = new Set([0]);
  for (const rule of rules) for (const { from, to } of keySpans(rule)) bounds.add(from).add(to);
  const starts = Float64Array.from(bounds).sort();
  const what = 'ranges of ports in a policy, of each application its own';
  requireRoom(what, starts.length, MAX_SEGMENTS, 'rules with the same ports and applications share theirs');
  const step = 2 ** (NUMBER_BITS - treeDepth(starts.length));
  return { starts, numbers: Uint32Array.from(starts, (_, i) => i * step) };
}

/** Levels under the root of a tree over evenly numbered segments. */
export const treeDepth = (segments: number): number => Math.ceil(Math.log2(segments));

/** With bounds where this rule needs them; undefined where no numbers are left between the neighbours', or none at all. */
export function cutFor(segments: PortSegments, rule: Rule): PortSegments | undefined {
  let cut: PortSegments | undefined = segments;
  // The upper bound first: what is left above it, where the next cut may come, then keeps the most numbers.
  for (const { from, to } of keySpans(rule)) {
    cut = cut && cutAt(cut, to);
    cut = cut && cutAt(cut, from);
  }
  return cut;
}

function cutAt({ starts, numbers }: PortSegments, key: number): PortSegments | undefined {
  const before = lastAtOrBefore(starts, key);
  if (starts[before] === key) return { starts, numbers };
  if (starts.length >= MAX_SEGMENTS) return undefined;
  const number = evenest(numbers[before] ?? 0, numbers[before + 1] ?? 2 ** NUMBER_BITS);
  if (number === undefined) return undefined;
  return { starts: inserted(starts, before + 1, key), numbers: inserted(numbers, before + 1, number) };
}

/** The number strictly between these two with the most zeros at its end: trees get no deeper than they must. */
function evenest(low: number, high: number): number | undefined {
  for (let step = 2 ** (NUMBER_BITS - 1); step >= 1; step /= 2) {
    const number = (Math.floor(low / step) + 1) * step;
    if (number < high) return number;
  }
  return undefined;
}

function inserted<T extends Float64Array | Uint32Array>(list: T, at: number, value: number): T {
  const longer = new (list.constructor as new (length: number) => T)(list.length + 1); // of the same kind
  longer.set(list.subarray(0, at));
  longer[at] = value;
  longer.set(list.subarray(at), at + 1);
  return longer;
}

function lastAtOrBefore(starts: Float64Array, key: number): number {
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] as number) <= key) low = middle;
    else high = middle;
  }
  return low;
}

/** What a rule covers: for any application first, then for each of its own. */
export type Coverage = { readonly ranges: readonly NumberRange[]; readonly hasApps: boolean };

/** The rule's bounds must be among the segments'. */
export function coverageOf({ starts, numbers }: PortSegments, rule: Rule): Coverage {
  const numberOf = (key: number): number => numbers[lastAtOrBefore(starts, key)] as number;
  const ranges = keySpans(rule).map(({ from, to }) => ({ from: numberOf(from), to: numberOf(to) }));
  return { ranges, hasApps: rule.apps.length > 0 };
}

/**
 * Calls `visit` for the fewest nodes of a port tree that together are these numbers. The root is 1, the child nodes of
 * n are 2n and 2n + 1.
 */
function coverRange({ from, to }: NumberRange, visit: (node: number) => void): void {
  let low = from + 2 ** NUMBER_BITS;
  let high = to + 2 ** NUMBER_BITS;
  for (; low < high; low >>= 1, high >>= 1) {
    if (low & 1) visit(low++);
    if (high & 1) visit(--high);
  }
}

/** Calls `visit` for every rank of a node that the rule may be; those of rules that wait for an application are kept apart. */
export function visitCovered({ ranges, hasApps }: Coverage, visit: (node: number, isApp: boolean) => void): void {
  for (let i = 0; i < ranges.length; i++)
    coverRange(ranges[i] as NumberRange, (node) => visit(node, i === 0 && hasApps));
}
