// What a run has come to, as text. Pure.
import type { FormCounts } from './forms.ts';
import type { Part } from './options.ts';

/** A difference: by this seed it is found again. */
export type Finding = { readonly seed: number; readonly text: string };

export type PartResult = {
  readonly part: Part;
  readonly seconds: number;
  /** In words → how many. The first is what the part is about. */
  readonly counts: Readonly<Record<string, number>>;
  readonly forms?: FormCounts;
  readonly finding: Finding | undefined;
};

const grouped = (count: number): string => count.toLocaleString('en-US');

export function textOfResult({ part, seconds, counts, forms, finding }: PartResult): string {
  const [first = ['', 0] as const] = Object.entries(counts);
  const rate = seconds > 0 ? `, ${grouped(Math.round(first[1] / seconds))} ${first[0]}/s` : '';
  const list = Object.entries(counts).map(([what, count]) => `${grouped(count)} ${what}`);
  const lines = [`${part}: ${list.join(', ')} in ${Math.round(seconds)} s${rate}`];
  if (forms) lines.push(...textOfForms(forms));
  lines.push(finding ? findingText(part, finding) : '  no difference');
  return lines.join('\n');
}

function textOfForms(forms: FormCounts): string[] {
  const groups = Map.groupBy(forms.list(), ({ group }) => group);
  return [...groups].map(
    ([group, list]) => `  ${group}: ${list.map(({ form, count }) => `${form} ${grouped(count)}`).join(', ')}`,
  );
}

const findingText = (part: Part, { seed, text }: Finding): string =>
  `  DIFFERENCE\n${text}\n  again: npm run fuzz -- --only ${part} --seed ${seed}`;

export function jsonOfResults(results: readonly PartResult[]): string {
  const shown = results.map(({ forms, ...result }) => ({
    ...result,
    ...(forms ? { forms: forms.list() } : {}),
    finding: result.finding ?? null,
  }));
  return JSON.stringify(shown, null, 2);
}
