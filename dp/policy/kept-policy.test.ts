// Policies as dp keeps them, and a whole policy that is sent again: what it says that is new is all that is compiled.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { random, SETS } from '../bpf/rule-sets.ts';
import { rule } from '../bpf/rules.ts';
import { APPLICATION } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION, POLICY_COMMAND } from '../protocol/values.ts';
import { CompiledPolicies } from './compiled-policies.ts';
import { KeptPolicy } from './kept-policy.ts';
import type { Policy, PolicyChange } from './policy.ts';

const add = ({ defaultAction: defact, directions: dir, rules }: Policy): PolicyChange => ({
  cmd: POLICY_COMMAND.add,
  ...{ defact, dir, rules },
  mac: ['02:00:00:00:00:01'],
});
const RULES = Array.from({ length: 400 }, (_, i) =>
  rule({ id: 1 + i, peer: `10.0.${i % 7}.${i % 250}`, ports: `tcp/${i}` }),
);
const POLICY: Policy = { defaultAction: ACTION.deny, directions: DIRECTION.both, rules: RULES };
const copyOf = <T>(value: T): T => structuredClone(value);

const anyPolicy: fc.Arbitrary<Policy> = fc
  .record({
    defaultAction: fc.constantFrom(...Object.values(ACTION)),
    directions: fc.constantFrom(...Object.values(DIRECTION)),
    make: fc.constantFrom(...Object.values(SETS)),
    count: fc.nat(40),
    seed: fc.nat(),
  })
  .map(({ make, count, seed, ...header }) => ({ ...header, rules: make(count, random(seed)) }));

/** Keeps every policy, or none, whatever its size. */
const [ALL, NONE] = [0, Number.POSITIVE_INFINITY] as const;
const compiler = (minKeptRules: number) => new CompiledPolicies(({ length }) => length, minKeptRules);

describe('a policy that is packed', () => {
  it('has the same rules when it is asked for them', () => {
    fc.assert(
      fc.property(anyPolicy, (policy) => {
        const kept = new KeptPolicy(policy);
        kept.pack();
        kept.pack();
        assert.deepEqual(kept.unpacked(), copyOf(policy));
        assert.equal(kept.size, policy.rules.length);
        assert.deepEqual(kept.names, new Set(policy.rules.flatMap(({ fqdn }) => fqdn?.toLowerCase() ?? [])));
      }),
    );
  });
  it('has the names of its rules in the form that the tables have', () => {
    const named = { ...rule({ id: 1 }), fqdn: 'API.Example.com.' };
    assert.deepEqual(new KeptPolicy({ ...POLICY, rules: [named] }).names, new Set(['api.example.com']));
  });
});

for (const [kept, minimum] of [
  ['of which all is kept', ALL],
  ['that is packed', NONE],
] as const)
  describe(`a whole policy, sent over one ${kept}`, () => {
    it('that is the same is the one there is, and nothing is compiled', () => {
      fc.assert(
        fc.property(anyPolicy, (policy) => {
          const compiled = compiler(minimum);
          const first = compiled.change(undefined, add(policy));
          assert.ok(first?.blob);
          const again = compiled.change(first.policy, add(copyOf(policy)));
          assert.equal(again?.policy, first.policy);
          assert.equal(again?.blob, undefined);
        }),
      );
    });
    it('with another default action alone compiles nothing', () => {
      const compiled = compiler(minimum);
      const first = compiled.change(undefined, add(POLICY));
      const open = { ...copyOf(POLICY), defaultAction: ACTION.open };
      const after = compiled.change(first?.policy, add(open));
      assert.equal(after?.blob, undefined);
      assert.deepEqual(after?.policy.unpacked(), open);
    });
    const changed: readonly [says: string, more: Partial<PolicyRule>][] = [
      ['id', { id: 100_000 }],
      ['source', { sip: '192.0.2.7', sipr: '192.0.2.7' }],
      ['end of a source range', { sipr: '255.255.255.254' }],
      ['destination', { dip: '10.9.9.9', dipr: '10.9.9.9' }],
      ['end of a destination range', { dipr: '10.255.9.9' }],
      ['port', { port: 9 }],
      ['end of a port range', { portr: 60_000 }],
      ['protocol', { proto: 17 }],
      ['action', { action: ACTION.deny }],
      ['direction', { ingress: true }],
      ['name', { dip: '0.0.0.0', dipr: '0.0.0.0', fqdn: 'a.example' }],
      ['applications', { apps: [{ app: APPLICATION.HTTP, action: ACTION.open, rid: 9 }] }],
    ];
    for (const [says, more] of changed)
      it(`with another ${says} of a rule is another`, () => {
        const compiled = compiler(minimum);
        const first = compiled.change(undefined, add(POLICY));
        const rules = copyOf(RULES).map((one, i) => (i === 200 ? { ...one, ...more } : one));
        const after = compiled.change(first?.policy, add({ ...POLICY, rules }));
        assert.ok(after?.blob);
        assert.deepEqual(
          after.policy.unpacked().rules,
          rules.toSorted((a, b) => a.id - b.id),
        );
      });
    it('with a rule less is another', () => {
      const compiled = compiler(minimum);
      const first = compiled.change(undefined, add(POLICY));
      assert.ok(compiled.change(first?.policy, add({ ...POLICY, rules: copyOf(RULES.slice(0, -1)) }))?.blob);
    });
  });

describe('a whole policy with one new rule', () => {
  const [changed] = [{ ...rule({ id: 200, peer: '10.7.7.7', ports: 'tcp/7' }) }];
  const rules = copyOf(RULES).map((one) => (one.id === changed.id ? changed : one));
  it('becomes what the change of that rule alone makes of the one before', () => {
    const [whole, one] = [compiler(ALL), compiler(ALL)];
    const [before, same] = [whole.change(undefined, add(POLICY)), one.change(undefined, add(POLICY))];
    const byAdd = whole.change(before?.policy, add({ ...POLICY, rules }));
    const byMod = one.change(same?.policy, { ...add({ ...POLICY, rules: [changed] }), cmd: POLICY_COMMAND.mod });
    assert.deepEqual(byAdd?.blob, byMod?.blob);
    const anew = compiler(ALL).change(undefined, add({ ...POLICY, rules }));
    assert.notDeepEqual(byAdd?.blob, anew?.blob, 'it was amended: what is not used any more is still there');
  });
});
