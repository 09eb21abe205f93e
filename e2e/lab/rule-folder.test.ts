// What the lab reads from a status file, and how it edits a rule.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { NO_STATUS, parseStatus, withAction } from './rule-folder.ts';

const RULE = `
# kept
spec:
  egress:
    - {name: a, action: Allow}
    - {name: b, action: Allow} # kept too
`;

describe('a status file', () => {
  const condition = (status: string) => `
status:
  conditions:
    - {type: Accepted, status: 'True', observedGeneration: 3, message: fine}
    - {type: Programmed, status: '${status}', observedGeneration: 3, message: on 1 of 1 nodes}
  rules: [{name: a, hits: 2, lastHit: 2026-01-01T00:00:00Z}]
  threats: {packets: 0, reports: 0, last: []}
  problems: [its agent does not report]
`;
  it('tells the generation in force', () => assert.equal(parseStatus(condition('True')).programmedGeneration, 3));
  it('tells none while it is not in force', () =>
    assert.equal(parseStatus(condition('False')).programmedGeneration, 0));
  it('tells the hits of each rule', () => assert.deepEqual(parseStatus(condition('True')).rules[0]?.hits, 2));
  it('tells problems', () => assert.deepEqual(parseStatus(condition('True')).problems, ['its agent does not report']));
  it('that is empty tells nothing', () => assert.deepEqual(parseStatus(''), NO_STATUS));
});

describe('another action for a rule', () => {
  it('changes that rule alone', () =>
    assert.deepEqual(parse(withAction(RULE, 'b', 'Deny')).spec.egress, [
      { name: 'a', action: 'Allow' },
      { name: 'b', action: 'Deny' },
    ]));
  it('leaves comments where they are', () => assert.match(withAction(RULE, 'a', 'Deny'), /# kept\n.*# kept too/s));
  it('needs a rule of that name', () => assert.throws(() => withAction(RULE, 'c', 'Deny'), RangeError));
});
