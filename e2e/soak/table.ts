// Writes what a soak has seen, as Markdown and as JSON. Pure.
import { type Check, holds } from './checks.ts';

export type Result = {
  /** The machine and the run, as names and values. */
  readonly conditions: Readonly<Record<string, string>>;
  readonly checks: readonly Check[];
};

export function renderMarkdown({ conditions, checks }: Result): string {
  const judged = checks.filter((check) => check.holds !== undefined);
  const held = judged.filter((check) => check.holds).length;
  const rows = checks.map((check) => [check.name, check.wanted, check.seen, verdictOf(check)]);
  const table = [['Check', 'Wanted', 'Seen', ''], ['---', '---:', '---:', '---'], ...rows];
  return [
    '# Podwall soak',
    Object.entries(conditions)
      .map(([name, value]) => `- ${name}: ${value}`)
      .join('\n'),
    `${held} of ${judged.length} checks held.`,
    table.map((cells) => `| ${cells.map(escaped).join(' | ')} |`).join('\n'),
    '',
  ].join('\n\n');
}

export const renderJson = ({ conditions, checks }: Result): string =>
  `${JSON.stringify({ conditions, checks, holds: holds(checks) }, null, 2)}\n`;

const escaped = (cell: string): string => cell.replaceAll('|', '\\|').replaceAll('\n', ' ');

function verdictOf(check: Check): string {
  if (check.holds === undefined) return '';
  return check.holds ? 'holds' : '**FAILS**';
}
