// What many measurements of one thing say. Pure.

export type Spread = { readonly min: number; readonly median: number; readonly max: number };

/** Of at least one sample; the median of an even number lies between the middle two. Throws RangeError on none. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (min === undefined || max === undefined || upper === undefined || lower === undefined)
    throw new RangeError('no samples');
  return { min, median: (lower + upper) / 2, max };
}

/** Each sample by the base of its own run. Throws RangeError where one has no base. */
export function ratios(samples: readonly number[], bases: readonly number[]): number[] {
  return samples.map((sample, run) => {
    const base = bases[run];
    if (base === undefined || base === 0) throw new RangeError(`run ${run} has no base`);
    return sample / base;
  });
}

/** The items from another one on each time, so that none always follows the same one's warm caches. */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
