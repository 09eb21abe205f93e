// Writes the figures as Markdown and as JSON. Pure.
import type { Judged, Target } from './figure.ts';

const HEADINGS = ['Figure', 'Unit', 'Min', 'Median', 'Max', 'Target', 'Reached'] as const;
const FIRST_NUMBER = 2;
const AFTER_NUMBERS = 5;

/** Where the time of a program went, as lines for people. */
export type Profile = { readonly title: string; readonly lines: readonly string[] };

export type Result = {
  /** The machine and the run, as names and values. */
  readonly conditions: Readonly<Record<string, string>>;
  readonly figures: readonly Judged[];
  readonly profiles: readonly Profile[];
};

export function renderMarkdown({ conditions, figures, profiles }: Result): string {
  const sections = [...new Set(figures.map(({ section }) => section))];
  const judged = figures.filter(({ reached }) => reached !== undefined);
  const reached = judged.filter((figure) => figure.reached).length;
  return [
    '# Podwall bench',
    Object.entries(conditions)
      .map(([name, value]) => `- ${name}: ${value}`)
      .join('\n'),
    `${reached} of ${judged.length} targets reached, by the median.`,
    ...sections.flatMap((title) => [`## ${title}`, table(figures.filter(({ section }) => section === title))]),
    ...profiles.flatMap(({ title, lines }) => [`## ${title}`, `\`\`\`\n${lines.join('\n')}\n\`\`\``]),
    '',
  ].join('\n\n');
}

export const renderJson = (result: Result): string => `${JSON.stringify(result, null, 2)}\n`;

function table(figures: readonly Judged[]): string {
  const rule = HEADINGS.map((_, i) => (i >= FIRST_NUMBER && i < AFTER_NUMBERS ? '---:' : '---'));
  const rows = figures.map(({ name, unit, min, median, max, target, reached }) => {
    const verdict = reached === undefined ? '' : reached ? 'yes' : '**no**';
    return [name, unit, formatNumber(min), formatNumber(median), formatNumber(max), formatTarget(target), verdict];
  });
  return [HEADINGS, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function formatTarget(target: Target | undefined): string {
  if (target === undefined) return '';
  return 'atLeast' in target ? `≥ ${formatNumber(target.atLeast)}` : `≤ ${formatNumber(target.atMost)}`;
}

/** At least three digits that count, and thousands apart. */
export function formatNumber(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
