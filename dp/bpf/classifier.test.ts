// The kernel's classifier against a plain loop over the rules: verdict, action and rule of every packet, and the hits.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Policy } from '../policy/policy.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION } from '../protocol/values.ts';
import { ADDRESSES_OF_NAMES, anyPolicy, anyTrial, namesOf as namesOfSmall } from './any-policy.ts';
import { Comparison, type Trial } from './comparison.ts';
import { Harness } from './harness.ts';
import { NAMES, namesOf, random, respelled, SETS, trials as trialsNear } from './rule-sets.ts';

const RULES = 1000;
const TRIALS = 8000;

const harness = new Harness();
after(() => harness[Symbol.dispose]());
for (const { name, addresses } of NAMES) harness.setName(name, [...addresses]);

describe('a large policy', () => {
  const settings: Readonly<Record<keyof typeof SETS, Omit<Policy, 'rules'>>> = {
    realistic: { defaultAction: ACTION.deny, directions: DIRECTION.both },
    overlapping: { defaultAction: ACTION.violate, directions: DIRECTION.egress },
    nested: { defaultAction: ACTION.deny, directions: DIRECTION.egress },
    ipv6: { defaultAction: ACTION.deny, directions: DIRECTION.both },
    named: { defaultAction: ACTION.learn, directions: DIRECTION.both },
    mixed: { defaultAction: ACTION.open, directions: DIRECTION.ingress },
  };
  const names = Object.keys(SETS) as (keyof typeof SETS)[]; // the keys of a const object are its type's
  for (const [i, name] of names.entries())
    it(`of ${RULES} ${name} rules decides as a plain loop does`, (t) => {
      const r = random(i + 1);
      const policy = { ...settings[name], rules: respelled(SETS[name](RULES, r), r) };
      const workload = harness.workload();
      const comparison = new Comparison(workload, policy, namesOf);
      for (const trial of trialsNear(policy.rules, TRIALS, r)) {
        const difference = comparison.difference(trial);
        if (difference) assert.fail(`${difference}\n${JSON.stringify(smallest(policy, trial))}`);
      }
      assert.equal(comparison.hitsDifference(), undefined);
      const { verdicts, tally } = comparison;
      t.diagnostic(`${verdicts} verdicts: ${JSON.stringify(tally)}`);
      assert.ok(tally.dropped > verdicts / 50 && tally.dropped < verdicts / 2 && tally.byRule > verdicts / 20);
    });

  /** The fewest rules that still make a difference. */
  function smallest(policy: Policy, trial: Trial): readonly PolicyRule[] {
    const workload = harness.workload();
    const differs = (rules: readonly PolicyRule[]) =>
      new Comparison(workload, { ...policy, rules }, namesOf).difference(trial) !== undefined;
    let { rules } = policy;
    for (let size = Math.ceil(rules.length / 2); ; size = Math.ceil(size / 2)) {
      for (let at = 0; at < rules.length; ) {
        const fewer = rules.toSpliced(at, size);
        if (fewer.length < rules.length && differs(fewer)) rules = fewer;
        else at += size;
      }
      if (size === 1) return rules;
    }
  }
});

describe('any small policy', () => {
  const workload = harness.workload();
  for (const [name, addresses] of ADDRESSES_OF_NAMES) harness.setName(name, [...addresses]);

  it('decides as a plain loop does', (t) => {
    let verdicts = 0;
    const connections = fc.array(anyTrial, { minLength: 1, maxLength: 80, size: 'max' });
    const property = fc.property(anyPolicy, connections, (policy, trials) => {
      const comparison = new Comparison(workload, policy, namesOfSmall);
      for (const trial of trials) assert.equal(comparison.difference(trial), undefined);
      assert.equal(comparison.hitsDifference(), undefined);
      verdicts += comparison.verdicts;
    });
    fc.assert(property, { numRuns: 200 });
    t.diagnostic(`${verdicts} verdicts`);
  });
});
