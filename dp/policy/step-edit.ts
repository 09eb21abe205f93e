// Changes a range of the addresses of a scope, piece by piece. Pure.
import { type Words as Address, compareAddress } from '../kernel/address.ts';
import { type AddressRange, AFTER_ALL, sweep } from './address-ranges.ts';
import type { AddressSteps } from './blob.ts';
import { RankHeap } from './rank-heap.ts';
import { StepList } from './step-list.ts';

/** A rule where it may be the lowest: a range of addresses, and some places. */
export type Candidate = { readonly rank: number; readonly range: AddressRange; readonly places: readonly number[] };
/** The rank of each place from an address up to the next piece's. */
export type Piece = { readonly start: Address; readonly ranks: readonly number[] };

/** The lowest rank of each place over a range, which holds those of all candidates. */
export function lowestRanks(range: AddressRange, candidates: readonly Candidate[], places: number): Piece[] {
  const heaps = Array.from({ length: places }, () => new RankHeap());
  const highest = candidates.reduce((rank, candidate) => Math.max(rank, candidate.rank), 0);
  const isActive = new Uint8Array(highest + 1);
  const pieces: Piece[] = [];
  let isInside = false;
  const active = {
    add(index: number) {
      const candidate = candidates[index];
      if (!candidate) isInside = true;
      else isActive[candidate.rank] = 1;
      for (const place of candidate?.places ?? []) heaps[place]?.push(candidate?.rank ?? 0);
    },
    remove(index: number) {
      const candidate = candidates[index];
      if (!candidate) isInside = false;
      else isActive[candidate.rank] = 0;
    },
  };
  const ranges = candidates.map((candidate) => candidate.range);
  sweep([...ranges, range], active, (start) => {
    if (isInside) pieces.push({ start, ranks: heaps.map((heap) => heap.lowest(isActive)) });
  });
  return pieces;
}

/** The steps with other values from the first piece up to the end of the range; `changeTo` answers what makes a value's new one. */
export function changeSteps(
  { starts, values }: AddressSteps,
  pieces: readonly Piece[],
  end: Address,
  changeTo: (ranks: readonly number[]) => (value: number) => number,
): AddressSteps {
  const [{ start: begin }] = pieces as readonly [Piece];
  const first = countBefore(starts, begin);
  const steps = new StepList(starts.slice(0, first), values.slice(0, first));
  let at = Math.max(0, first - 1);
  const isNextAtMost = (address: Address): boolean =>
    at + 1 < starts.length && compareAddress(starts[at + 1] as Address, address) <= 0;
  for (const [i, { start, ranks }] of pieces.entries()) {
    while (isNextAtMost(start)) at += 1;
    const change = changeTo(ranks);
    steps.push(start, change(values[at] as number));
    const next = pieces[i + 1]?.start ?? end;
    while (at + 1 < starts.length && compareAddress(starts[at + 1] as Address, next) < 0) {
      at += 1;
      steps.push(starts[at] as Address, change(values[at] as number));
    }
  }
  if (end === AFTER_ALL) return steps;
  while (isNextAtMost(end)) at += 1;
  steps.push(end, values[at] as number);
  for (at += 1; at < starts.length; at++) steps.push(starts[at] as Address, values[at] as number);
  return steps;
}

/** How many of the sorted addresses are below this one. */
function countBefore(starts: readonly Address[], address: Address): number {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareAddress(starts[middle] as Address, address) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
