import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readListPage, readWatchEvent, type WatchEvent } from './watch-events.ts';

const object = { kind: 'Pod', metadata: { uid: 'u', name: 'a', resourceVersion: '7' } };

describe('a line of a watch', () => {
  const cases: [what: string, line: unknown, event: WatchEvent][] = [
    ['with a new object', { type: 'ADDED', object }, { kind: 'put', object }],
    ['with a changed object', { type: 'MODIFIED', object }, { kind: 'put', object }],
    ['with an object that is gone', { type: 'DELETED', object }, { kind: 'deleted', object }],
    [
      'with a bookmark',
      { type: 'BOOKMARK', object: { kind: 'Pod', metadata: { resourceVersion: '9' } } },
      { kind: 'bookmark', resourceVersion: '9' },
    ],
    [
      'that says 410 Gone',
      { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } },
      { kind: 'expired' },
    ],
    [
      'with another error',
      { type: 'ERROR', object: { kind: 'Status', code: 500, reason: 'InternalError', message: 'no' } },
      { kind: 'failed', message: 'no' },
    ],
  ];
  for (const [what, line, event] of cases) it(what, () => assert.deepEqual(readWatchEvent(line), event));

  for (const line of [
    undefined,
    7,
    {},
    { type: 'ADDED' },
    { type: 'ADDED', object: { metadata: {} } },
    { type: 'X' },
  ]) {
    it(`that is ${JSON.stringify(line)} is a failure`, () => assert.equal(readWatchEvent(line).kind, 'failed'));
  }
});

describe('a page of a list', () => {
  const kind = { apiVersion: 'v1', kind: 'Pod', path: '/x' };
  it('gives each object its kind, which the API server leaves out', () => {
    const { metadata } = object;
    const page = readListPage({ metadata: { resourceVersion: '9', continue: 'c' }, items: [{ metadata }] }, kind);
    assert.deepEqual(page, { items: [{ apiVersion: 'v1', kind: 'Pod', metadata }], resourceVersion: '9', next: 'c' });
  });
  it('that is none is an error', () => assert.throws(() => readListPage({ kind: 'Status' }, kind), /no list of Pod/));
});
