// The kernel's verdicts against a plain loop over the rules: of every form of policy and packet, many.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Judge } from '../bpf/comparison.ts';
import { Harness } from '../bpf/harness.ts';
import { referenceClassifier } from '../policy/reference-classifier.ts';
import { ACTION } from '../protocol/values.ts';
import { planOf } from './rounds.ts';
import { type Found, textOf, Verdicts } from './verdicts.ts';

const SEEDS = { first: 115, count: 36 } as const;
/** Of them there must be as many as this, and of each form. */
const VERDICTS = 200_000;
const EACH_FORM = 50;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

/** Lives of policies, one a seed, to the first difference. */
async function compare(verdicts: Verdicts, seeds: { first: number; count: number }): Promise<Found | undefined> {
  for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
    const life = verdicts.run(planOf(seed));
    for (;;) {
      const { done, value } = life.next();
      if (value) return value;
      if (done) break;
      await turn();
    }
  }
  return undefined;
}

describe('the kernel programs', () => {
  it(`say the same as a plain loop over the rules, ${VERDICTS} times and of every form`, async (t) => {
    const verdicts = new Verdicts(harness);
    const found = await compare(verdicts, SEEDS);
    assert.equal(found && textOf(found), undefined);
    t.diagnostic(`${verdicts.verdicts} verdicts, ${verdicts.changes} commands`);
    const counts = verdicts.forms.list().map(({ group, form, count }) => `${group}: ${form} ${count}`);
    t.diagnostic(counts.join(', '));
    assert.ok(verdicts.verdicts >= VERDICTS, `${verdicts.verdicts} verdicts`);
    assert.deepEqual(verdicts.forms.rare(EACH_FORM), []);
  });
});

describe('a difference', () => {
  /** One that is wrong in a small way: it takes no notice of a range's last port. */
  const wrong: Judge = (policy) => {
    const judge = referenceClassifier(policy);
    const portsOf = new Map(policy.rules.map(({ id, port, portr = 0 }) => [id, { port, last: portr || port }]));
    return (connection) => {
      const decision = judge(connection);
      if (decision === 'undecided') return decision;
      const { port, last } = portsOf.get(decision.ruleId) ?? { port: 0, last: 0 };
      const isLast = port < last && last < 0xffff && connection.port === last;
      return isLast ? { action: ACTION.deny, ruleId: 0 } : decision;
    };
  };

  it('is shown by the least case there is', async (t) => {
    const found = await compare(new Verdicts(harness, wrong), { first: 1, count: 20 });
    assert.ok(found?.least);
    t.diagnostic(textOf(found));
    const { before, meanwhile } = found.least;
    assert.deepEqual(meanwhile, []);
    assert.deepEqual(
      before.map(({ name, body }) => [name, 'rules' in body ? body.rules?.length : undefined]),
      [['ctrl_cfg_policy', 1]],
    );
    assert.match(textOf(found), /"action":2,"ruleId":0.*by the loop/);
  });

  it('that only a change makes is shown with the change', async (t) => {
    /** Takes no notice that a name let a connection in. */
    const forgetful: Judge = (policy) => {
      const judge = referenceClassifier(policy);
      return ({ admittedBy: _, ...connection }) => judge(connection);
    };
    const found = await compare(new Verdicts(harness, forgetful), { first: 1, count: 60 });
    assert.ok(found?.least);
    t.diagnostic(textOf(found));
    const { before, meanwhile } = found.least;
    assert.ok(before.length <= 2, 'a policy, and a name’s addresses where the change is of these');
    assert.equal(meanwhile.length, 1);
    assert.match(textOf(found), /and its next packet, after these:\n {4}{"ctrl_cfg_/);
  });
});
