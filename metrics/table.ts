// The tables of docs/metrics.md, from the definitions that they document. Pure.
import type { Definition, Definitions } from './definition.ts';

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export function metricsTable(definitions: Definitions): string {
  const rows = Object.entries(definitions).map(([name, definition]) =>
    row(`\`${name}\``, definition.type, labelsText(definition), definition.help),
  );
  return [row('metric', 'type', 'labels', 'meaning'), row('---', '---', '---', '---'), ...rows].join('\n');
}

function labelsText(definition: Definition): string {
  if (definition.type === 'histogram') return `\`le\`: ${definition.bounds.join(', ')}`;
  return Object.entries(definition.labels ?? {})
    .map(([label, values]) => `\`${label}\`: ${values.join(', ')}`)
    .join('; ');
}
