// Renders the outcome of the scenarios for people.
import type { Threat } from '@podwall/controller/api/keyspace.ts';
import type { Row } from './verdict.ts';

export type Section = { readonly title: string; readonly rows: readonly Row[] };

export type Style = {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly strong: (text: string) => string;
};

const same = (text: string): string => text;
export const PLAIN: Style = { good: same, bad: same, dim: same, strong: same };
const sgr = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`;
export const COLOURED: Style = { good: sgr(32), bad: sgr(31), dim: sgr(2), strong: sgr(1) };

const HEADINGS = ['', 'Scenario', 'Expected', 'Seen', 'Decided by', 'Time'] as const;
const TIME_COLUMN = 5;
const GAP = '  ';

export function renderTable(sections: readonly Section[], style: Style): string {
  const cellsOf = ({ held, name, expected, seen, rule, ms }: Row) => {
    return [held ? '✓' : '✗', name, expected, seen, rule, `${ms} ms`];
  };
  const all = [HEADINGS, ...sections.flatMap(({ rows }) => rows.map(cellsOf))];
  const widths = HEADINGS.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => {
    const pad = (cell: string, i: number) =>
      i === TIME_COLUMN ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
    return `${GAP}${cells.map(pad).join(GAP)}`;
  };
  const rule = style.dim(`${GAP}${'─'.repeat(line(HEADINGS).length - GAP.length)}`);
  const body = sections.flatMap(({ title, rows }) => [
    rule,
    style.strong(`${GAP}${title}`),
    ...rows.map((row) => paintMark(line(cellsOf(row)), row.held, style)),
  ]);
  return [style.dim(line(HEADINGS)), ...body, rule].join('\n');
}

/** Colour comes last: its codes would count as width. */
function paintMark(line: string, held: boolean, style: Style): string {
  return held ? line.replace('✓', style.good('✓')) : style.bad(line);
}

/** One line for each rule that dropped something on its way to a peer: the first report of it. */
export function renderThreats(threats: readonly Threat[], style: Style): string {
  const first = new Map<string, Threat>();
  for (const threat of threats) {
    const key = `${threat.rule} ${threat.destination} ${threat.destinationPort}`;
    if (!first.has(key)) first.set(key, threat);
  }
  const cells = [...first.values()].map((threat) => [
    threat.time.slice(11, 19), // HH:MM:SS of RFC 3339
    threat.rule,
    `${threat.source}:${threat.sourcePort} → ${threat.destination}:${threat.destinationPort}`,
    threat.protocol,
    threat.application,
    `${threat.threat} (${threat.severity})`,
  ]);
  return [style.strong(`${GAP}Threats in the rule’s status`), ...alignLeft(cells)].join('\n');
}

function alignLeft(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  return rows.map((cells) => `${GAP}${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(GAP)}`.trimEnd());
}

/** Says how many held, and what that means. */
export function renderSummary(rows: readonly Row[], style: Style): string {
  const passed = rows.filter(({ held }) => held).length;
  const count = `${passed} of ${rows.length} held`;
  if (passed === rows.length)
    return `${style.good(count)}: what a rule allows got its answer, what it denies got none, and Podwall named the rule each time.`;
  return `${style.bad(count)}: where there is a ✗, the client or Podwall’s report differs from what the rule says.`;
}

export type Summary = {
  /** Each name is unique: it begins with its section's title. */
  readonly scenarios: readonly Pick<Row, 'name' | 'expected' | 'seen' | 'rule' | 'ms'>[];
  readonly passed: number;
  readonly failed: number;
};

export function summarize(sections: readonly Section[]): Summary {
  const scenarios = sections.flatMap(({ title, rows }) =>
    rows.map(({ name, expected, seen, rule, ms }) => ({ name: `${title}: ${name}`, expected, seen, rule, ms })),
  );
  const passed = sections.flatMap(({ rows }) => rows).filter(({ held }) => held).length;
  return { scenarios, passed, failed: scenarios.length - passed };
}
