// What a soak's judge makes of what was seen: everything in order, and each thing that may be wrong.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Report } from '../../dp/protocol/reports.ts';
import { SequenceBook } from './books.ts';
import { holds, judge, type Seen } from './checks.ts';
import {
  CONNECTION,
  type FlowName,
  isDenied,
  LONG_FLOW_NAMES,
  LONG_FLOWS,
  SHORT_FLOW_NAMES,
  SHORT_FLOWS,
} from './flows.ts';
import { Reports } from './reports.ts';

const MAC = '02:00:00:00:50:0a';
const BYTES = 60;

/** One datagram of each flow, as it should go. */
function books(): Map<FlowName, SequenceBook> {
  const names: readonly FlowName[] = [...LONG_FLOW_NAMES, ...SHORT_FLOW_NAMES, 'connection'];
  return new Map(
    names.map((name) => {
      const book = new SequenceBook();
      const number = book.send(isDenied(name) ? 'dropped' : 'passes', BYTES);
      if (!isDenied(name)) book.arrive(number, BYTES);
      if (!isDenied(name) && name !== 'newAllowed') book.answer(number);
      return [name, book];
    }),
  );
}

const hitsOf = (rules: Readonly<Record<number, number>>, revision = 2): Report => ({
  kind: 'ruleHits',
  mac: MAC,
  revision,
  rules: Object.entries(rules).map(([ruleId, hits]) => ({ ruleId: Number(ruleId), lastHitAt: 0, hits: BigInt(hits) })),
});

const ONE_EACH = Object.fromEntries(
  [...Object.values(LONG_FLOWS), ...Object.values(SHORT_FLOWS), CONNECTION].map(({ rule }) => [rule, 1]),
);

/** As dp reports a connection with one packet each way; of the report only what is read here. */
function connectionOf(flow: 'steady' | 'inbound' | 'named' | 'probe', packets = 1n): Report {
  const { workloadPort, peerPort } = LONG_FLOWS[flow];
  const isInbound = flow === 'inbound';
  const [clientPort, serverPort] = isInbound ? [peerPort, workloadPort] : [workloadPort, peerPort];
  const bytes = packets * BigInt(BYTES);
  const counted = { clientPackets: packets, clientBytes: bytes, serverPackets: packets, serverBytes: bytes };
  const connection = { mac: MAC, ipProtocol: 17, flags: isInbound ? 1 : 0, clientPort, serverPort, ...counted };
  return { kind: 'connection', connections: [connection] } as unknown as Report; // the rest is not looked at
}

const FLOWS = ['steady', 'inbound', 'named', 'probe'] as const;
const IN_ORDER: readonly Report[] = [hitsOf(ONE_EACH), ...FLOWS.map((flow) => connectionOf(flow))];

function seen(change: Partial<Seen> = {}, more: readonly Report[] = [], of = books()): Seen {
  const reports = new Reports();
  for (const report of [...IN_ORDER, ...more]) reports.take(report);
  return {
    books: (flow) => [of.get(flow) ?? assert.fail(flow)],
    macs: [MAC],
    reports,
    turns: 1,
    broken: [],
    drops: new Map([['policy', 4]]),
    tableLosses: 0,
    kills: { done: 2, wanted: 2 },
    syncs: 3,
    changes: 10,
    dpMib: 100,
    socketOverflows: 0,
    retransmissions: 0,
    reportsMissed: 0,
    ...change,
  };
}

const failing = (what: Seen): string[] => judge(what).flatMap((check) => (check.holds === false ? [check.name] : []));
const changed = (flow: FlowName, change: (book: SequenceBook) => void): Map<FlowName, SequenceBook> => {
  const all = books();
  change(all.get(flow) ?? assert.fail(flow));
  return all;
};

describe('the judge of a soak', () => {
  it('finds nothing wrong where everything is in order', () => {
    assert.deepEqual(failing(seen()), []);
    assert.ok(holds(judge(seen())));
  });
  const cases: readonly [says: string, what: Seen, fails: RegExp][] = [
    [
      'an allowed datagram that did not arrive',
      seen(
        {},
        [],
        changed('steady', (book) => book.send('passes')),
      ),
      /^allowed datagrams lost$/m,
    ],
    [
      'a denied one that did',
      seen(
        {},
        [],
        changed('denied', (book) => book.arrive(0)),
      ),
      /^denied datagrams passed, flows known as denied$/m,
    ],
    [
      'the first of a new denied flow that did',
      seen(
        {},
        [],
        changed('newDenied', (book) => book.arrive(0)),
      ),
      /^denied datagrams passed, first of a new flow$/m,
    ],
    [
      'a line that was not echoed',
      seen(
        {},
        [],
        changed('connection', (book) => book.send('passes')),
      ),
      /^lines on open TCP connections lost$/m,
    ],
    [
      'a turned flow that passed while denied',
      seen(
        {},
        [],
        changed('probe', (book) => book.arrive(book.send('dropped'))),
      ),
      /^turned flow: passed while denied$/m,
    ],
    [
      'a hit too few',
      seen(
        {},
        [],
        changed('newAllowed', (book) => book.arrive(book.send('passes'))),
      ),
      /^hits, new allowed flows$/m,
    ],
    [
      'a hit too many, of another revision',
      seen({}, [hitsOf({ [LONG_FLOWS.steady.rule]: 1 }, 3)]),
      /^hits of the flows that stay allowed/m,
    ],
    ['hits that went back', seen({}, [hitsOf({ [LONG_FLOWS.probe.rule]: 0 })]), /^hits of a rule went back$/m],
    [
      'counters of a connection that went back',
      seen({}, [connectionOf('steady', 0n)]),
      /^counters of a connection went back$/m,
    ],
    ['a packet too many of a connection', seen({}, [connectionOf('named', 2n)]), /^connections whose last report/m],
    ['a packet dropped that was not denied', seen({ drops: new Map([['policy', 5]]) }), /^packets dropped by policy/m],
    [
      'a packet dropped for another reason',
      seen({
        drops: new Map([
          ['policy', 4],
          ['invalidPacket', 1],
        ]),
      }),
      /^packets dropped for another reason$/m,
    ],
    ['no word of the drops', seen({ drops: undefined }), /^packets dropped by policy/m],
    ['a full table', seen({ tableLosses: 1 }), /^entries that a kernel table had no room for$/m],
    ['a kill too few', seen({ kills: { done: 1, wanted: 2 } }), /^dp killed$/m],
    ['too much memory', seen({ dpMib: 1000 }), /^memory of dp/m],
    ['a broken connection', seen({ broken: ['reset'] }), /^TCP connections broken$/m],
  ];
  for (const [says, what, fails] of cases) it(`finds ${says}`, () => assert.match(failing(what).join('\n'), fails));
});
