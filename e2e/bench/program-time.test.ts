// What the bench runs beside dp's programs compiles, loads over a running dp's tables, and gives its figures. How large they are
// is not looked at: so few runs say nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import type { Figure } from './figure.ts';
import { measureProgramTime } from './program-time.ts';
import { RULE_SETS } from './rule-sets.ts';

const TINY = { sizes: [10, 20], knownRepeats: 10, searchRepeats: 10, newFlows: 10, filling: 10 };

describe('the bench', () => {
  it('measures the time of programs', async () => {
    execFileSync('make', ['--silent', '-C', `${import.meta.dirname}/bpf`]);
    const { signal } = new AbortController();
    const bench = { signal, isQuick: true, rounds: 1, seconds: 1, say: () => {} };
    const figures: Figure[] = [];
    for await (const figure of measureProgramTime(bench, TINY)) figures.push(figure);
    const names = figures.map(({ name }) => name);
    for (const set of Object.keys(RULE_SETS))
      for (const name of [`same query: 20 ${set} rules`, `20 against 10 ${set} rules`])
        assert.ok(names.includes(`search for a rule, ${name}`), `${name} is not among ${names.join('; ')}`);
    for (const name of ['a known flow', 'a new flow', 'a new flow, the table full'])
      assert.ok(
        names.includes(`with 20 benign rules: a packet of ${name}`),
        `${name} is not among ${names.join('; ')}`,
      );
    for (const { name, samples } of figures) {
      assert.equal(samples.length, 1, name);
      assert.ok(samples.every(Number.isFinite), `${name}: ${samples.join(', ')}`);
    }
  });
});
