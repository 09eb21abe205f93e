import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RuleHits } from '@podwall/dp/protocol/reports.ts';
import fc from 'fast-check';
import type { ComputedPolicy } from '../policy/policy.ts';
import { HitTotals } from './hits.ts';

const MAC = 'aa:bb:cc:dd:ee:01';
const AT = 1_700_000_000;

const policy = (defaultOf: ComputedPolicy['defaultOf'] = { egress: 'r1', ingress: 'r1' }): ComputedPolicy => ({
  ruleNames: new Map([
    [1001, { uid: 'r1', rule: 'mysql' }],
    [1002, { uid: 'r1', rule: 'mysql' }],
    [1003, { uid: 'r2', rule: 'web' }],
  ]),
  ...{ tap: false, defaultOf, generations: {}, fqdns: [], problems: [] },
});
const hit = (ruleId: number, hits: number, lastHitAt = AT): RuleHits => ({ ruleId, hits: BigInt(hits), lastHitAt });

function hitsOf(totals: HitTotals, uid: string): Record<string, number> {
  return Object.fromEntries(Object.entries(totals.report(uid).rules).map(([rule, { hits }]) => [rule, hits]));
}

describe('totals of hits', () => {
  it('add up the parts of a rule, and the default action under its own name', () => {
    const totals = new HitTotals();
    totals.begin(MAC, 2);
    const risen = totals.count(MAC, 2, [hit(1001, 3), hit(1002, 4, AT + 9), hit(1003, 1), hit(0, 5)], policy());
    assert.deepEqual([...risen].toSorted(), ['r1', 'r2']);
    assert.deepEqual([hitsOf(totals, 'r1'), hitsOf(totals, 'r2')], [{ mysql: 7, '(default)': 5 }, { web: 1 }]);
    assert.equal(totals.report('r1').rules.mysql?.lastHit, new Date((AT + 9) * 1000).toISOString());
  });

  it('go on over policies, whose counts begin at 0 and may still rise after the next is in force', () => {
    const totals = new HitTotals();
    totals.begin(MAC, 2);
    totals.count(MAC, 2, [hit(1001, 10)], policy());
    totals.begin(MAC, 3);
    totals.count(MAC, 3, [hit(1001, 1)], policy());
    totals.count(MAC, 2, [hit(1001, 12)], policy());
    assert.deepEqual(hitsOf(totals, 'r1'), { mysql: 13 });
  });

  it('go on where dp gives an epoch a second time, as one that lost its tables does', () => {
    const totals = new HitTotals();
    for (const hits of [10, 3]) {
      totals.begin(MAC, 2);
      totals.count(MAC, 2, [hit(1001, hits)], policy());
    }
    assert.deepEqual(hitsOf(totals, 'r1'), { mysql: 13 });
  });

  it('do not count a policy that another agent put in force', () => {
    const totals = new HitTotals();
    assert.equal(totals.count(MAC, 2, [hit(1001, 10)], policy()).size, 0);
    assert.deepEqual(hitsOf(totals, 'r1'), {});
  });

  it('go on from what an earlier run reported', () => {
    const totals = new HitTotals();
    totals.begin(MAC, 2);
    totals.count(MAC, 2, [hit(1001, 2)], policy());
    totals.takeOver({ uid: 'r1', rules: { mysql: { hits: 40, lastHit: new Date(0).toISOString() } } });
    assert.deepEqual(hitsOf(totals, 'r1'), { mysql: 42 });
    assert.equal(totals.report('r1').rules.mysql?.lastHit, new Date(AT * 1000).toISOString());
  });

  it('count the default action for the only direction there is', () => {
    const totals = new HitTotals();
    totals.begin(MAC, 2);
    totals.count(MAC, 2, [hit(0, 2)], policy({ ingress: 'r9' }));
    assert.deepEqual(hitsOf(totals, 'r9'), { '(default)': 2 });
  });

  it('are the last count of every policy added up, whatever the order of reports, and never fall', () => {
    const event = fc.oneof(fc.constant('begin'), fc.tuple(fc.nat(9), fc.nat(50)));
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const totals = new HitTotals();
        const truth = new Map<number, number>();
        let [epoch, last] = [0, 0];
        for (const next of events) {
          if (next === 'begin') {
            epoch += 1;
            totals.begin(MAC, epoch);
            truth.set(epoch, 0);
          } else if (typeof next !== 'string') {
            const [back, more] = next;
            const of = epoch - (back % 8);
            if (!truth.has(of)) continue;
            truth.set(of, (truth.get(of) ?? 0) + more);
            totals.count(MAC, of, [hit(1003, truth.get(of) ?? 0)], policy());
          }
          const now = hitsOf(totals, 'r2').web ?? 0;
          assert(now >= last);
          last = now;
        }
        assert.equal(
          last,
          [...truth.values()].reduce((sum, count) => sum + count, 0),
        );
      }),
    );
  });
});
