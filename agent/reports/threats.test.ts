import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_THREATS } from '@podwall/controller/api/keyspace.ts';
import { packAddress } from '@podwall/dp/protocol/address.ts';
import type { ThreatLog } from '@podwall/dp/protocol/reports.ts';
import type { ComputedPolicy } from '../policy/policy.ts';
import { readThreat, ruleOfThreat, ThreatLists } from './threats.ts';

const { etherType, bytes: source } = packAddress('10.0.0.2');
const log = (change: Partial<ThreatLog> = {}): ThreatLog => ({
  ...{ threatId: 1, reportedAt: 1_700_000_000, count: 3, action: 2, severity: 3, ipProtocol: 6, flags: 0 },
  ...{ mac: 'aa:bb:cc:dd:ee:01', etherType, source, destination: packAddress('10.20.30.50').bytes },
  ...{ sourcePort: 40000, destinationPort: 6379, icmpCode: 0, icmpType: 0, capturedBytes: 0, application: 300 },
  ...{ packetBytes: 74, ruleId: 1003, revision: 2, message: 'policy violation', ...change },
});
const policy: ComputedPolicy = {
  ruleNames: new Map([[1003, { uid: 'r1', rule: 'redis' }]]),
  ...{ tap: false, defaultOf: { egress: 'out', ingress: 'in' }, generations: {}, fqdns: [], problems: [] },
};
const context = { node: 'n1', workload: 'shop/checkout', rule: 'redis' };

describe('a threat', () => {
  it('says in words what dp says in numbers', () => {
    assert.deepEqual(readThreat(log(), context), {
      ...{ time: '2023-11-14T22:13:20.000Z', id: 1, threat: 'policy violation', severity: 'medium', action: 'deny' },
      ...{ ...context, direction: 'egress', source: '10.0.0.2', destination: '10.20.30.50', protocol: 'tcp' },
      ...{ sourcePort: 40000, destinationPort: 6379, application: 'Redis', count: 3 },
    });
  });

  const words: [Partial<ThreatLog>, object][] = [
    [{ ipProtocol: 132 }, { protocol: 'sctp' }],
    [{ ipProtocol: 47 }, { protocol: '47' }],
    [
      { ipProtocol: 58, action: 4 },
      { protocol: 'icmpv6', action: 'violate' },
    ],
    [{ message: '', threatId: 2 }, { threat: 'spoofed MAC address' }],
    [{ message: '', threatId: 999 }, { threat: 'threat 999' }],
    [
      { etherType: 0, application: 0 },
      { source: '', destination: '', application: 'unknown' },
    ],
    [{ flags: 3 }, { direction: 'ingress' }],
    [{ flags: 1 }, { direction: 'egress' }],
  ];
  for (const [change, expected] of words)
    it(`with ${JSON.stringify(change)} has ${JSON.stringify(expected)}`, () => {
      assert.deepEqual({ ...readThreat(log(change), context), ...expected }, readThreat(log(change), context));
    });

  const rules: [Partial<ThreatLog>, object | undefined][] = [
    [{}, { uid: 'r1', rule: 'redis' }],
    [{ ruleId: 0 }, { uid: 'out', rule: '(default)' }],
    [
      { ruleId: 0, flags: 2 },
      { uid: 'in', rule: '(default)' },
    ],
    [{ ruleId: 77 }, undefined],
  ];
  for (const [change, expected] of rules)
    it(`with ${JSON.stringify(change)} is the doing of ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(ruleOfThreat(log(change), policy), expected);
    });

  it('is kept with the last of its resource, and counted for good', () => {
    const lists = new ThreatLists();
    for (let i = 0; i < MAX_THREATS + 5; i += 1) lists.add('r1', readThreat(log({ sourcePort: i, count: 2 }), context));
    const { packets, reports, last } = lists.report('r1');
    assert.deepEqual(
      [packets, reports, last.length, last[0]?.sourcePort, last.at(-1)?.sourcePort],
      [50, 25, MAX_THREATS, 5, 24],
    );
    lists.takeOver({ uid: 'r1', packets: 7, reports: 2, last: [readThreat(log(), context)] });
    const joined = lists.report('r1');
    assert.deepEqual([joined.packets, joined.reports, joined.last.length], [57, 27, MAX_THREATS]);
    assert.equal(joined.last.at(-1)?.sourcePort, 24);
  });
});
