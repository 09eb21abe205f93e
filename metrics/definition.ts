// What a metric is: its name's entry in a table, and what its value may look like. Pure.

/** Every label with all the values that it may have, so that no metric has more series than its table says. */
export type Labels = Readonly<Record<string, readonly string[]>>;

/** `help` is a sentence for people who read a dashboard; `bounds` are a histogram's, ascending, without infinity. */
export type Definition =
  | { readonly type: 'counter' | 'gauge'; readonly help: string; readonly labels?: Labels }
  | { readonly type: 'histogram'; readonly help: string; readonly bounds: readonly number[] };

/** By name: podwall_<process>_<what>_<unit>, a counter's with _total. */
export type Definitions = Readonly<Record<string, Definition>>;

export type Sample<L extends Labels> = {
  readonly labels: { readonly [Label in keyof L]: L[Label][number] };
  readonly value: number;
};

/** How many values lie up to each bound and above the one before; the last count is of those above all bounds. */
export type Counted = { readonly counts: readonly number[]; readonly sum: number };

export type Reading<D extends Definition> = D extends { readonly type: 'histogram' }
  ? Counted
  : D extends { readonly labels: infer L extends Labels }
    ? readonly Sample<L>[]
    : number;

/** A value for every metric of a table, so that none is forgotten. */
export type Readings<Ds extends Definitions> = { readonly [Name in keyof Ds]: Reading<Ds[Name]> };

/** The samples of a metric with one label: a value for each of its values. */
export function samples<Label extends string, Value extends string>(
  label: Label,
  values: Readonly<Record<Value, number>>,
): Sample<Record<Label, readonly Value[]>>[] {
  return Object.entries<number>(values).map(([name, value]) => ({
    labels: { [label]: name } as Record<Label, Value>, // the keys of a record are its type's
    value,
  }));
}
