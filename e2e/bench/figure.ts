// A figure of the bench: what was measured, how often, and what it should be. Pure.
import { type Spread, spreadOf } from './statistics.ts';

export type Target = { readonly atLeast: number } | { readonly atMost: number };

export type Figure = {
  /** The table that it is a row of. */
  readonly section: string;
  readonly name: string;
  readonly unit: string;
  /** One a run, in the order of the runs. */
  readonly samples: readonly number[];
  /** What the median is to be; without one the figure is there to compare with. */
  readonly target?: Target;
};

export type Judged = Figure & Spread & { readonly reached?: boolean };

export function judge(figure: Figure): Judged {
  const spread = spreadOf(figure.samples);
  const { target } = figure;
  if (target === undefined) return { ...figure, ...spread };
  const reached = 'atLeast' in target ? spread.median >= target.atLeast : spread.median <= target.atMost;
  return { ...figure, ...spread, reached };
}
