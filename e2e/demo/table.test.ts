// How the demo's result looks.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { Threat } from '@podwall/controller/api/keyspace.ts';
import { COLOURED, PLAIN, renderSummary, renderTable, renderThreats, summarize } from './table.ts';
import type { Row } from './verdict.ts';

const HELD: Row = { name: 'MySQL', expected: 'passes', seen: 'passes', rule: 'checkout/mysql', ms: 8, held: true };
const BROKEN: Row = {
  name: 'Redis PING',
  expected: 'dropped',
  seen: 'answered: PONG',
  rule: '-',
  ms: 1204,
  held: false,
};
const SECTIONS = [
  { title: 'First', rows: [HELD] },
  { title: 'Second', rows: [BROKEN] },
];

describe('the table', () => {
  it('aligns its columns over all sections', () =>
    assert.equal(
      renderTable(SECTIONS, PLAIN),
      [
        '     Scenario    Expected  Seen            Decided by         Time',
        '  ────────────────────────────────────────────────────────────────',
        '  First',
        '  ✓  MySQL       passes    passes          checkout/mysql     8 ms',
        '  ────────────────────────────────────────────────────────────────',
        '  Second',
        '  ✗  Redis PING  dropped   answered: PONG  -               1204 ms',
        '  ────────────────────────────────────────────────────────────────',
      ].join('\n'),
    ));
  it('is the same with colours, but for the colours', () => {
    const coloured = renderTable(SECTIONS, COLOURED);
    assert.notEqual(coloured, renderTable(SECTIONS, PLAIN));
    assert.equal(stripVTControlCharacters(coloured), renderTable(SECTIONS, PLAIN));
  });
});

describe('the threats', () => {
  const threat: Threat = {
    time: '2026-01-01T12:34:56.000Z',
    id: 1,
    threat: 'policy violation',
    severity: 'medium',
    action: 'deny',
    node: 'node-1',
    workload: 'shop/container-1',
    rule: 'redis',
    direction: 'egress',
    source: '192.168.1.100',
    destination: '10.20.30.50',
    protocol: 'tcp',
    sourcePort: 52347,
    destinationPort: 6379,
    application: 'unknown',
    count: 1,
  };
  it('are shown once for each rule and peer', () =>
    assert.equal(
      renderThreats(
        [threat, { ...threat, time: '2026-01-01T12:34:58.000Z', count: 3 }, { ...threat, rule: 'b' }],
        PLAIN,
      ),
      [
        '  Threats in the rule’s status',
        '  12:34:56  redis  192.168.1.100:52347 → 10.20.30.50:6379  tcp  unknown  policy violation (medium)',
        '  12:34:56  b      192.168.1.100:52347 → 10.20.30.50:6379  tcp  unknown  policy violation (medium)',
      ].join('\n'),
    ));
});

describe('the summary', () => {
  it('says that all held', () => assert.match(renderSummary([HELD, HELD], PLAIN), /^2 of 2 held: /));
  it('says how many did not', () => assert.match(renderSummary([HELD, BROKEN], PLAIN), /^1 of 2 held: .*✗/));
  it('for programs has each row and the counts', () =>
    assert.deepEqual(summarize(SECTIONS), {
      scenarios: [
        { name: 'First: MySQL', expected: 'passes', seen: 'passes', rule: 'checkout/mysql', ms: 8 },
        { name: 'Second: Redis PING', expected: 'dropped', seen: 'answered: PONG', rule: '-', ms: 1204 },
      ],
      passed: 1,
      failed: 1,
    }));
});
