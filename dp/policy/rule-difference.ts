// What two policies have in common. Pure.
import type { Rule } from './classifier.ts';
import { NONE } from './port-nodes.ts';

export type RuleDifference = {
  readonly removed: readonly Rule[];
  readonly added: readonly Rule[];
  /** Rank before → rank after; NONE of those removed. */
  readonly ranks: Uint32Array;
};

/** Rules are the same where they are the same object. Undefined where more than so many differ, or the order does. */
export function ruleDifference(
  before: readonly Rule[],
  after: readonly Rule[],
  maxChanges: number,
): RuleDifference | undefined {
  const shorter = Math.min(before.length, after.length);
  let first = 0;
  while (first < shorter && before[first] === after[first]) first++;
  let last = 0;
  while (last < shorter - first && before.at(-1 - last) === after.at(-1 - last)) last++;
  const [middle, other] = [before.slice(first, before.length - last), after.slice(first, after.length - last)];
  const [has, had] = [new Set(other), new Set(middle)];
  const removed = middle.filter((rule) => !has.has(rule));
  const added = other.filter((rule) => !had.has(rule));
  if (removed.length + added.length > maxChanges) return undefined;

  const rankAfter = new Map(other.map((rule, i) => [rule, first + i]));
  const ranks = Uint32Array.from(before, (rule, rank) => {
    if (rank < first) return rank;
    if (rank >= before.length - last) return rank + after.length - before.length;
    return rankAfter.get(rule) ?? NONE;
  });
  const kept = ranks.filter((rank) => rank !== NONE);
  return kept.every((rank, i) => i === 0 || rank > (kept[i - 1] as number)) ? { removed, added, ranks } : undefined;
}
