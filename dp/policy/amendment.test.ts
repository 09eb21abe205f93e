// A policy that was amended, and one that was compiled anew, against a plain loop over the rules.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NAMES as KNOWN_NAMES, namesOf, random, SETS } from '../bpf/rule-sets.ts';
import type { Trial } from '../bpf/trial.ts';
import { trials } from '../bpf/trials.ts';
import { wordsOf } from '../kernel/address.ts';
import { isWithin } from './address-ranges.ts';
import { amendClassifier } from './amendment.ts';
import { BlobSearch, type Match, NONE, type Query } from './blob-search.ts';
import { type Classifier, compileClassifier, type Rule } from './classifier.ts';
import { classifierRules } from './compile.ts';

const RULES = 400;
const CHANGES = 60;
const QUERIES = 60;
const APPLICATIONS = [1, 2, 254] as const;
const NAMES = [1, 2, 3] as const;

/** The same few for rules and queries, so that they meet. */
const address = fc
  .oneof(
    fc.integer({ min: 0, max: 7 }).map((n) => `10.0.0.${n}`),
    fc.constantFrom(
      '0.0.0.0',
      '255.255.255.255',
      '::',
      'fd00::1',
      'fd00::2',
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ),
  )
  .map(wordsOf);
const local = fc.constantFrom('0.0.0.0', '10.1.0.1', '10.1.0.2', 'fd00::5', '255.255.255.255').map(wordsOf);
const protocol = fc.constantFrom(1, 6, 6, 17, 255);
const port = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(8080, 0xffff));
const direction = fc.constantFrom('egress' as const, 'egress' as const, 'ingress' as const);

const range = <T>(ends: fc.Arbitrary<T>, isAbove: (a: T, b: T) => boolean): fc.Arbitrary<[T, T]> =>
  fc.tuple(ends, ends).map(([a, b]) => (isAbove(a, b) ? [b, a] : [a, b]));
const addresses = (ends: typeof address) =>
  range(ends, (a, b) => !isWithin(a, { from: wordsOf('::'), to: b })).map(([from, to]) => ({ from, to }));
/** Mostly one of two ranges: others cut the local addresses, and then there is nothing to amend. */
const locals = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .constantFrom(
        ...([
          ['0.0.0.0', '255.255.255.255'],
          ['10.1.0.1', '10.1.0.1'],
        ] as const),
      )
      .map(([from, to]) => ({ from: wordsOf(from), to: wordsOf(to) })),
  },
  { weight: 1, arbitrary: addresses(local) },
);

const anyRule: fc.Arbitrary<Rule> = fc
  .record({
    id: fc.integer({ min: 1, max: 0xffffffff }),
    direction,
    local: locals,
    peer: fc.oneof(
      { weight: 4, arbitrary: addresses(address).map((it) => ({ range: it })) },
      { weight: 1, arbitrary: fc.constantFrom(...NAMES).map((fqdnId) => ({ fqdnId })) },
    ),
    proto: fc.oneof(protocol, fc.constant(0)),
    ports: range(port, (a, b) => a > b),
    action: fc.integer({ min: 1, max: 4 }),
    apps: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.constantFrom(...APPLICATIONS).map((app) => [app]) },
    ),
  })
  .map(({ ports: [portFrom, portTo], ...rule }) => ({ ...rule, portFrom, portTo }));

const anyQuery: fc.Arbitrary<Query> = fc
  .record({
    direction,
    local,
    peer: address,
    protocol,
    port,
    application: fc.constantFrom(0, ...APPLICATIONS),
    names: fc.subarray([...NAMES]),
  })
  .map(({ protocol: proto, port: number, ...query }) => ({ ...query, key: proto * 0x10000 + number }));

const anyEdit = fc.record({
  at: fc.nat(),
  removed: fc.integer({ min: 0, max: 2 }),
  added: fc.array(anyRule, { maxLength: 2 }),
  isOfSamePeer: fc.boolean(),
});

/** By a plain loop. */
function expected(rules: readonly Rule[], query: Query): Match {
  const matching = Array.from(rules.keys()).filter((rank) => matches(rules[rank] as Rule, query));
  const decides = ({ apps }: Rule): boolean => apps.length === 0 || apps.includes(query.application);
  return {
    base: matching.find((rank) => decides(rules[rank] as Rule)) ?? NONE,
    app: matching.find((rank) => rules[rank]?.apps.length) ?? NONE,
  };
}

/** Whether all but the applications match. */
function matches(rule: Rule, { direction: way, local: own, peer, key, names }: Query): boolean {
  const [proto, number] = [key >> 16, key & 0xffff];
  if (rule.direction !== way || !isWithin(own, rule.local)) return false;
  if (rule.proto !== 0 && (rule.proto !== proto || number < rule.portFrom || number > rule.portTo)) return false;
  return 'range' in rule.peer ? isWithin(peer, rule.peer.range) : names.includes(rule.peer.fqdnId);
}

function assertDecidesAsLoop({ blob, rules }: Classifier, queries: readonly Query[]): void {
  const search = new BlobSearch(blob);
  for (const [rank, { id, action }] of rules.entries()) assert.deepEqual(search.rule(rank), { id, action });
  for (const query of queries) {
    const wanted = expected(rules, query);
    const found = search.classify(query);
    if (found.base !== wanted.base || found.app !== wanted.app) assert.deepEqual(found, wanted, JSON.stringify(query));
  }
}

describe('any small policy that changes many times', () => {
  it('decides as a plain loop does, amended or compiled anew', (t) => {
    const tally = { amended: 0, anew: 0, decided: 0 };
    const property = fc.property(
      fc.array(anyRule, { maxLength: 24 }),
      fc.array(anyEdit, { maxLength: 12 }),
      fc.array(anyQuery, { minLength: 1, maxLength: 60, size: 'max' }),
      (first, edits, queries) => {
        let classifier = compileClassifier(first);
        assertDecidesAsLoop(classifier, queries);
        for (const { at, removed, added, isOfSamePeer } of edits) {
          const place = at % (classifier.rules.length + 1);
          const known = classifier.rules[place];
          const kept =
            known && isOfSamePeer ? { peer: known.peer, local: known.local, direction: known.direction } : {};
          const rules = classifier.rules.toSpliced(place, removed, ...added.map((rule) => ({ ...rule, ...kept })));
          const amended = amendClassifier(classifier, rules);
          tally[amended ? 'amended' : 'anew'] += 1;
          classifier = amended ?? compileClassifier(rules);
          assertDecidesAsLoop(classifier, queries);
          tally.decided += queries.length;
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
    t.diagnostic(JSON.stringify(tally));
    assert.ok(tally.amended > 2 * tally.anew, 'most changes are amendments');
  });
});

describe('a large policy that changes many times', () => {
  const idOf = (name: string): number => KNOWN_NAMES.findIndex((known) => known.name === name) + 1;
  const queryOf = ({ direction: way, local: own, peer, protocol: proto, port: number }: Trial): Query => ({
    direction: way,
    local: wordsOf(own),
    peer: wordsOf(peer),
    key: proto * 0x10000 + number,
    application: 0,
    names: namesOf(peer).map(idOf).slice(0, 15),
  });
  const names = Object.keys(SETS) as (keyof typeof SETS)[]; // the keys of a const object are its type's

  for (const [i, name] of names.entries())
    it(`of ${RULES} ${name} rules decides as a plain loop does`, (t) => {
      const r = random(i + 1);
      const rulesOf = (count: number) => {
        const source = SETS[name](count, r);
        return { source, rules: source.flatMap((rule) => classifierRules(rule, idOf)) };
      };
      const { source, rules: first } = rulesOf(RULES);
      let classifier = compileClassifier(first);
      let amended = 0;
      for (let change = 0; change < CHANGES; change++) {
        const fresh = rulesOf(1 + r(4));
        const rules = classifier.rules.toSpliced(r(classifier.rules.length), r(4), ...fresh.rules);
        const amendment = amendClassifier(classifier, rules);
        if (amendment) amended += 1;
        classifier = amendment ?? compileClassifier(rules);
        const near = [...trials(source, QUERIES, r), ...trials(fresh.source, QUERIES, r)];
        assertDecidesAsLoop(classifier, near.map(queryOf));
      }
      t.diagnostic(`${amended} amendments`);
      assert.ok(amended > CHANGES / 2);
    });
});
