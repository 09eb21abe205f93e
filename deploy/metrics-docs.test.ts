// docs/metrics.md and the Grafana dashboard against the metrics that the processes really have.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { AGENT_METRICS } from '../agent/metrics.ts';
import { CONTROLLER_METRICS } from '../controller/metrics.ts';
import { DP_METRICS } from '../dp/metrics.ts';
import type { Definition, Definitions } from '../metrics/definition.ts';
import { PROCESS_METRICS } from '../metrics/process-metrics.ts';
import { metricsTable } from '../metrics/table.ts';
import { expressionsOf, seriesIn } from './grafana-dashboard.ts';

const SECTIONS = {
  '## Controller': CONTROLLER_METRICS,
  '## Agent': AGENT_METRICS,
  '## dp': DP_METRICS,
  '## Every process': PROCESS_METRICS,
} as const satisfies Readonly<Record<string, Definitions>>;
const ALL: Definitions = { ...CONTROLLER_METRICS, ...AGENT_METRICS, ...DP_METRICS, ...PROCESS_METRICS };

/** Without what aligns the columns of tables. */
const plain = (text: string): string => text.replace(/ +\|/g, ' |').replace(/-{3,}/g, '---');

describe('docs/metrics.md', () => {
  const text = plain(readFileSync(`${import.meta.dirname}/../docs/metrics.md`, 'utf8'));
  for (const [heading, definitions] of Object.entries(SECTIONS))
    it(`has the table of “${heading}”`, () => {
      const [, section = ''] = text.split(`\n${heading}\n`);
      const table = plain(metricsTable(definitions));
      assert.ok(section.split('\n## ')[0]?.includes(`\n${table}\n`), `it is missing or differs:\n${table}`);
    });
});

describe('the metrics', () => {
  for (const [process, definitions] of Object.entries({
    controller: CONTROLLER_METRICS,
    agent: AGENT_METRICS,
    dp: DP_METRICS,
  }) as [string, Definitions][])
    it(`of ${process} are named as Prometheus wants it, and each has a sentence of help`, () => {
      for (const [name, { type, help }] of Object.entries(definitions)) {
        assert.match(name, new RegExp(`^podwall_${process}_[a-z_]+$`));
        assert.equal(name.endsWith('_total'), type === 'counter', name);
        assert.match(help, /^[\p{Lu}1].*\.$/u, name);
      }
    });

  it('have no more than 20 series each', () => {
    for (const [name, definition] of Object.entries(ALL)) {
      const labels = 'labels' in definition ? Object.values(definition.labels ?? {}) : [];
      assert.ok(labels.reduce((series, values) => series * values.length, 1) <= 20, name);
    }
  });
});

describe('deploy/grafana-dashboard.json', () => {
  const dashboard: unknown = JSON.parse(readFileSync(`${import.meta.dirname}/grafana-dashboard.json`, 'utf8'));
  const expressions = expressionsOf(dashboard);

  it('asks only for metrics that a process has, and for labels with the values that they have', () => {
    assert.ok(expressions.length > 20);
    for (const expression of expressions)
      for (const { name, labels } of seriesIn(expression)) {
        const definition = definitionOf(name);
        assert.ok(definition, `${name} in ${expression}`);
        const known = 'labels' in definition ? (definition.labels ?? {}) : {};
        for (const [label, value] of Object.entries(labels))
          assert.ok(known[label]?.includes(value), `${name} has no ${label}="${value}", in ${expression}`);
      }
  });

  it('asks for counters by how they rise, and for gauges by what they are', () => {
    for (const expression of expressions)
      for (const { name } of seriesIn(expression)) {
        const isCounted = definitionOf(name)?.type !== 'gauge';
        assert.equal(new RegExp(`\\b(rate|increase)\\(${name}`).test(expression), isCounted, expression);
      }
  });

  it('shows every metric of Podwall’s own', () => {
    const shown = new Set(expressions.flatMap((expression) => seriesIn(expression).map(({ name }) => baseOf(name))));
    const missing = Object.keys(ALL).filter((name) => name.startsWith('podwall_') && !shown.has(name));
    assert.deepEqual(missing, []);
  });
});

const definitionOf = (name: string): Definition | undefined => ALL[baseOf(name)];
/** A histogram has series of other names. */
function baseOf(name: string): string {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return ALL[base]?.type === 'histogram' ? base : name;
}
