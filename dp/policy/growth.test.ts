// How what is compiled grows with the rules: in look-ups and bytes, which are the same on every machine.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nested, overlapping, random, realistic } from '../bpf/rule-sets.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { compileClassifier, LIMITS } from './classifier.ts';
import { classifierRules } from './compile.ts';
import { NodePool } from './port-nodes.ts';

const SIZES = [1_250, 2_500, 5_000, 10_000, 20_000] as const;
const MIB = 2 ** 20;
/** Of 10,000 rules. */
const MAX_BYTES = 8 * MIB;
/** Twice the rules, n log n: 2.2 times as much at these sizes; 4 would be quadratic. */
const MAX_GROWTH = 2.5;

const SETS: Readonly<Record<string, (count: number) => PolicyRule[]>> = {
  realistic: (count) => realistic(count, random(1)),
  nested: (count) => nested(count, random(2)),
  overlapping: (count) => overlapping(count, random(3)),
};

function measure(rules: readonly PolicyRule[]) {
  const pool = new NodePool(rules.length);
  const { nodes, blob, scopes } = compileClassifier(
    rules.flatMap((rule) => classifierRules(rule, ({ length }) => length)),
    pool,
  );
  const intervals = scopes.reduce((sum, { peers }) => sum + peers.starts.length, 0);
  return { lookups: pool.lookups, nodes: nodes.length, intervals, bytes: blob.length };
}

for (const [set, make] of Object.entries(SETS))
  describe(`a policy of ${set} rules`, () => {
    const measured = SIZES.map((size) => measure(make(size)));
    for (const what of ['lookups', 'nodes', 'intervals', 'bytes'] as const)
      it(`takes ${what} that grow no faster than n log n`, (t) => {
        const values = measured.map((one) => one[what]);
        t.diagnostic(`${SIZES.join(', ')} rules: ${values.join(', ')}`);
        for (const [i, value] of values.entries()) {
          const before = values[i - 1];
          if (before !== undefined)
            assert.ok(value <= before * MAX_GROWTH, `${before} → ${value} at ${SIZES[i]} rules`);
        }
      });
    it('of 10,000 takes at most 8 MiB of the kernel', () => {
      const bytes = measured[SIZES.indexOf(10_000)]?.bytes ?? Number.POSITIVE_INFINITY;
      assert.ok(bytes <= MAX_BYTES, `${bytes}`);
    });
    it('keeps the kernel’s limits with 20,000', () => {
      assert.ok((measured.at(-1)?.intervals ?? 0) <= LIMITS.intervals);
    });
  });
