// The kernel's classifier against a plain loop over the rules: verdict, action and rule of every packet, and the hits.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { changePolicy, type Policy } from '../policy/policy.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION, POLICY_COMMAND, type PolicyCommand } from '../protocol/values.ts';
import { ADDRESSES_OF_NAMES, anyPolicy, anyTrial, namesOf as namesOfSmall } from './any-policy.ts';
import { Comparison, type Trial } from './comparison.ts';
import { Harness } from './harness.ts';
import { NAMES, namesOf, random, respelled, SETS, trials as trialsNear } from './rule-sets.ts';

const RULES = 1000;
const TRIALS = 6000;

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
      const comparison = Comparison.enforce(workload, policy, namesOf);
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
      Comparison.enforce(workload, { ...policy, rules }, namesOf).difference(trial) !== undefined;
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

describe('a policy that is changed rule by rule', () => {
  const [POLICY_RULES, CHANGES, TRIALS_EACH] = [300, 30, 100];
  for (const [i, name] of (['overlapping', 'named', 'mixed'] as const).entries())
    it(`of ${POLICY_RULES} ${name} rules decides as a plain loop does after each change`, (t) => {
      const r = random(100 + i);
      const workload = harness.workload();
      const header = { defact: ACTION.deny, dir: DIRECTION.both, mac: [workload.mac] };
      const pool = respelled(SETS[name](2 * POLICY_RULES, r), r);
      let policy: Policy | undefined;
      let verdicts = 0;
      const change = (cmd: PolicyCommand, rules: PolicyRule[]): void => {
        policy = changePolicy(policy, { ...header, cmd, rules });
        workload.enforce({ ...header, cmd, rules });
        if (!policy) return;
        const comparison = new Comparison(workload, policy, namesOf);
        for (const trial of trialsNear([...policy.rules, ...rules], TRIALS_EACH, r))
          assert.equal(comparison.difference(trial), undefined, `after cmd ${cmd} of ${JSON.stringify(rules)}`);
        verdicts += comparison.verdicts;
      };
      const some = (rules: readonly PolicyRule[]) => rules.filter(() => r(rules.length) < 3);

      change(POLICY_COMMAND.add, pool.slice(0, POLICY_RULES));
      for (let n = 0; n < CHANGES; n++) {
        const removed = some(policy?.rules ?? []);
        if (removed.length > 0) change(POLICY_COMMAND.del, removed);
        // Others' bodies under known ids, and ids that were not there.
        const changed = some(pool).map((rule) => ({ ...(pool[r(pool.length)] ?? rule), id: rule.id }));
        change(POLICY_COMMAND.mod, changed);
      }
      t.diagnostic(`${verdicts} verdicts`);
    });
});

describe('any small policy', () => {
  const workload = harness.workload();
  for (const [name, addresses] of ADDRESSES_OF_NAMES) harness.setName(name, [...addresses]);

  it('decides as a plain loop does', (t) => {
    let verdicts = 0;
    const connections = fc.array(anyTrial, { minLength: 1, maxLength: 80, size: 'max' });
    const property = fc.property(anyPolicy, connections, (policy, trials) => {
      const comparison = Comparison.enforce(workload, policy, namesOfSmall);
      for (const trial of trials) assert.equal(comparison.difference(trial), undefined);
      assert.equal(comparison.hitsDifference(), undefined);
      verdicts += comparison.verdicts;
    });
    fc.assert(property, { numRuns: 150 });
    t.diagnostic(`${verdicts} verdicts`);
  });
});
