// What the demo makes of a client's answer and of a status.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Threat } from '@podwall/controller/api/keyspace.ts';
import type { Completed } from '../lab/command.ts';
import { NO_STATUS, type RuleStatus } from '../lab/rule-folder.ts';
import { decidingRule, describeOutcome, type Expected, isInAgentLog, judge, NOT_REPORTED } from './verdict.ts';

const PASSES: Expected = { kind: 'passes', answer: 'PONG' };
const DROPPED: Expected = { kind: 'dropped' };
const ENDPOINT = { ip: '10.20.30.50', port: 6379 };

const completed = (with_: Partial<Completed>): Completed => ({
  code: 0,
  stdout: '',
  stderr: '',
  ms: 7.4,
  timedOut: false,
  ...with_,
});

const threat = (with_: Partial<Threat>): Threat => ({
  time: '2026-01-01T00:00:00Z',
  id: 1,
  threat: 'policy violation',
  severity: 'medium',
  action: 'deny',
  node: 'node-1',
  workload: 'shop/container-1',
  rule: 'redis',
  direction: 'egress',
  source: '192.168.1.100',
  destination: ENDPOINT.ip,
  protocol: 'tcp',
  sourcePort: 52347,
  destinationPort: ENDPOINT.port,
  application: 'unknown',
  count: 1,
  ...with_,
});

const withHits = (hits: Record<string, number>, ...threats: Threat[]): RuleStatus => ({
  ...NO_STATUS,
  threats,
  rules: Object.entries(hits).map(([name, count]) => ({ name, hits: count })),
});

describe('what a client saw', () => {
  const cases: [string, Partial<Completed>, Expected, string][] = [
    ['the answer that was expected', { stdout: 'PONG\n' }, PASSES, 'passes'],
    ['another answer', { stdout: 'LOADING\n' }, PASSES, 'answered: LOADING'],
    ['an empty answer', {}, PASSES, 'answered: nothing'],
    ['an error of its own', { code: 1, stderr: 'a\nrefused\n' }, PASSES, 'failed: refused'],
    ['an error without words', { code: 7 }, PASSES, 'failed: exit code 7'],
    ['silence where an answer was expected', { code: null, timedOut: true }, PASSES, 'dropped'],
    ['silence where it was expected', { code: null, timedOut: true }, DROPPED, 'dropped'],
    ['an answer where silence was expected', { stdout: 'PONG' }, DROPPED, 'answered: PONG'],
    ['a refusal where silence was expected', { code: 1, stderr: 'refused' }, DROPPED, 'failed: refused'],
  ];
  for (const [name, with_, expected, seen] of cases)
    it(`${name}: ${seen}`, () => assert.equal(describeOutcome(completed(with_), expected), seen));
});

describe('the deciding rule', () => {
  const cases: [string, Expected, RuleStatus, RuleStatus, string | undefined][] = [
    ['is the one whose hits rose', PASSES, withHits({ a: 1, b: 2 }), withHits({ a: 1, b: 3 }), 'checkout/b'],
    ['may be one that had no hits', PASSES, NO_STATUS, withHits({ a: 1, b: 0 }), 'checkout/a'],
    ['is not known while no hits rise', PASSES, withHits({ a: 1 }), withHits({ a: 1 }), undefined],
    ['is all whose hits rose', PASSES, NO_STATUS, withHits({ a: 1, b: 1 }), 'checkout/a, checkout/b'],
    ['is that of a threat and of hits', DROPPED, NO_STATUS, withHits({ redis: 1 }, threat({})), 'checkout/redis'],
    ['is not known by a threat alone', DROPPED, NO_STATUS, withHits({ redis: 0 }, threat({})), undefined],
    ['of what is dropped is not told by hits alone', DROPPED, NO_STATUS, withHits({ redis: 1 }), undefined],
    ['is not that of an old threat', DROPPED, withHits({}, threat({})), withHits({ redis: 1 }, threat({})), undefined],
    ...[{ destination: '10.20.30.51' }, { destinationPort: 80 }, { action: 'violate' } as const].map(
      (other): [string, Expected, RuleStatus, RuleStatus, undefined] => [
        `is not that of a threat with another ${Object.keys(other)}`,
        DROPPED,
        NO_STATUS,
        withHits({ redis: 1 }, threat(other)),
        undefined,
      ],
    ),
  ];
  for (const [name, expected, before, after, rule] of cases)
    it(name, () => assert.equal(decidingRule('checkout', { endpoint: ENDPOINT, expected }, before, after), rule));
});

describe('a drop in the agent’s log', () => {
  const log = `starting\n{"msg":"10.20.30.50 is here"}\n${JSON.stringify(threat({}))}\n`;
  const cases: [string, string, string, number, boolean][] = [
    ['is found by rule and peer', log, 'checkout/redis', ENDPOINT.port, true],
    ['counts only for its rule', log, 'checkout/mysql', ENDPOINT.port, false],
    ['counts only for its port', log, 'checkout/redis', 80, false],
    ['is not there in an empty log', '', 'checkout/redis', ENDPOINT.port, false],
  ];
  for (const [name, text, rule, port, isThere] of cases)
    it(name, () => assert.equal(isInAgentLog(text, 'checkout', rule, { ...ENDPOINT, port }), isThere));
});

describe('a scenario', () => {
  const scenario = { name: 'PING', endpoint: ENDPOINT, expected: PASSES, rule: 'checkout/redis' };
  const answer = completed({ stdout: 'PONG\n' });

  it('holds when outcome and rule are as expected', () =>
    assert.deepEqual(judge(scenario, answer, 'checkout/redis'), {
      name: 'PING',
      expected: 'passes',
      seen: 'passes',
      rule: 'checkout/redis',
      ms: 7,
      held: true,
    }));
  it('does not hold when another rule decided', () => assert.ok(!judge(scenario, answer, 'checkout/other').held));
  it('does not hold when nothing was reported', () => assert.ok(!judge(scenario, answer, NOT_REPORTED).held));
  it('does not hold when the client failed', () =>
    assert.ok(!judge(scenario, completed({ code: 1 }), 'checkout/redis').held));
});
