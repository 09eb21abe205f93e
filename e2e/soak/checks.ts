// Judges what a soak has seen: a line for each thing that must hold. Pure.
import type { SequenceBook } from './books.ts';
import { CONNECTION, type FlowName, LONG_FLOWS, type LongFlowName, SHORT_FLOW_NAMES, SHORT_FLOWS } from './flows.ts';
import { COUNTED, type Counted, type Reports } from './reports.ts';

export type Seen = {
  /** By workload; MACs in the same order. */
  readonly books: (flow: FlowName) => readonly SequenceBook[];
  readonly macs: readonly string[];
  readonly reports: Reports;
  /** Turns of the probes that dp confirmed. */
  readonly turns: number;
  /** Connections that broke, in words. */
  readonly broken: readonly string[];
  /** From dp's own dump: packets by reason. Undefined: dp did not say. */
  readonly drops: ReadonlyMap<string, number> | undefined;
  /** Entries that a kernel table had no room for, by its name in dp's dump. */
  readonly tableLosses: number | undefined;
  readonly kills: { readonly done: number; readonly wanted: number };
  readonly syncs: number;
  readonly changes: number;
  /** Most that dp had resident, in MiB. */
  readonly dpMib: number;
  /** Datagrams that arrived and found no room in a socket. */
  readonly socketOverflows: number;
  readonly retransmissions: number;
  /** Reports that were sent and did not reach the agent, by their numbers. */
  readonly reportsMissed: number;
};

export type Check = {
  readonly name: string;
  readonly wanted: string;
  readonly seen: string;
  /** Undefined: said, not judged. */
  readonly holds?: boolean;
};

/** dp with 100 workloads of the soak's some 40 rules, and Node itself. */
const MOST_DP_MIB = 256;
const UDP = 17;
const SHOWN = 3;
const ALLOWED: readonly FlowName[] = ['steady', 'inbound', 'named', 'newAllowed'];
const DENIED: readonly FlowName[] = ['denied', 'deniedInbound'];
const NEW_DENIED: readonly FlowName[] = ['newDenied', 'newUnmatched'];
const DATAGRAMS: readonly FlowName[] = [...ALLOWED, ...DENIED, ...NEW_DENIED, 'probe'];
const ANSWERED: readonly FlowName[] = ['steady', 'inbound', 'named'];
const COUNTED_FLOWS: readonly LongFlowName[] = ['steady', 'inbound', 'named', 'probe'];

export function judge(seen: Seen): Check[] {
  return [...trafficChecks(seen), ...counterChecks(seen), ...dpChecks(seen), ...saidOnly(seen)];
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const text = (count: number): string => count.toLocaleString('en-US');
const booksOf = (seen: Seen, flows: readonly FlowName[]): SequenceBook[] => flows.flatMap((flow) => seen.books(flow));

/** `found` of `all`, and none is what is wanted. */
function none(name: string, found: number, all: number, what: string): Check {
  return { name, wanted: '0', seen: `${text(found)} of ${text(all)} ${what}`, holds: found === 0 && all > 0 };
}

function trafficChecks(seen: Seen): Check[] {
  const allowed = booksOf(seen, ALLOWED);
  const probes = seen.books('probe');
  const connections = seen.books('connection');
  const answered = booksOf(seen, ANSWERED);
  const everything = booksOf(seen, [...DATAGRAMS, 'connection']);
  const missing = (books: readonly SequenceBook[]) => sum(books.map((book) => book.missing().length));
  const of = (books: readonly SequenceBook[], what: keyof SequenceBook['sums']) =>
    sum(books.map(({ sums }) => sums[what]));
  const dropped = (name: string, books: readonly SequenceBook[]) =>
    none(name, of(books, 'passed'), of(books, 'mustDrop'), 'datagrams');
  return [
    none('allowed datagrams lost', missing(allowed), of(allowed, 'mustPass'), 'datagrams'),
    none(
      'answers to them lost',
      sum(answered.map((book) => book.unanswered().length)),
      of(answered, 'arrived'),
      'answers',
    ),
    none('lines on open TCP connections lost', missing(connections), of(connections, 'sent'), 'lines'),
    noneOf('TCP connections broken', seen.broken, connections.length),
    dropped('denied datagrams passed, flows known as denied', booksOf(seen, DENIED)),
    dropped('denied datagrams passed, first of a new flow', booksOf(seen, NEW_DENIED)),
    none('turned flow: lost while allowed', missing(probes), of(probes, 'mustPass'), 'datagrams'),
    { ...dropped('turned flow: passed while denied', probes), holds: of(probes, 'passed') === 0 },
    { name: 'turns of that flow', wanted: 'some', seen: text(seen.turns), holds: seen.turns > 0 },
    none(
      'datagrams that came twice or were never sent',
      of(everything, 'strangers'),
      of(everything, 'arrived'),
      'datagrams',
    ),
  ];
}

/** None of these events, in words. */
function noneOf(name: string, events: readonly string[], of?: number): Check {
  const shown = events.length === 0 ? '' : `: ${events.slice(0, SHOWN).join('; ')}`;
  const all = of === undefined ? '' : ` of ${text(of)}`;
  return { name, wanted: '0', seen: `${text(events.length)}${all}${shown}`, holds: events.length === 0 };
}

function counterChecks(seen: Seen): Check[] {
  const { hits, connections, epochs } = seen.reports.backwards;
  return [
    noneOf('hits of a rule went back', hits),
    ...hitChecks(seen),
    noneOf('counters of a connection went back', connections),
    noneOf(
      'connections whose last report is not what was sent and answered',
      wrongConnections(seen),
      COUNTED_FLOWS.length * seen.macs.length,
    ),
    noneOf('epochs of a policy went back', epochs),
  ];
}

/** Each new flow is one hit of the rule that decided on it, whatever happened to dp and to the other rules meanwhile. */
function hitChecks(seen: Seen): Check[] {
  const hits = seen.reports.hits();
  const of = (rule: number) => sum(seen.macs.map((mac) => hits.get(`${mac} ${rule}`) ?? 0));
  const exactly = (name: string, rule: number, flows: number): Check => ({
    name,
    wanted: text(flows),
    seen: text(of(rule)),
    holds: of(rule) === flows,
  });
  const once = [LONG_FLOWS.steady.rule, LONG_FLOWS.inbound.rule, LONG_FLOWS.named.rule, CONNECTION.rule];
  return [
    ...SHORT_FLOW_NAMES.map((flow) =>
      exactly(`hits, ${HIT_NAMES[flow]}`, SHORT_FLOWS[flow].rule, sum(seen.books(flow).map(({ sums }) => sums.sent))),
    ),
    {
      name: 'hits of the flows that stay allowed: one each',
      wanted: text(once.length * seen.macs.length),
      seen: text(sum(once.map(of))),
      holds: once.every((rule) => seen.macs.every((mac) => hits.get(`${mac} ${rule}`) === 1)),
    },
  ];
}

const HIT_NAMES = {
  newAllowed: 'new allowed flows',
  newDenied: 'new flows denied by a rule',
  newUnmatched: 'new flows denied by default',
} as const;

function wrongConnections(seen: Seen): string[] {
  return COUNTED_FLOWS.flatMap((flow) =>
    seen.books(flow).flatMap(({ sums }, i) => {
      const { workloadPort, peerPort } = LONG_FLOWS[flow];
      const name = { mac: seen.macs[i] ?? '', protocol: UDP, workloadPort, peerPort };
      const expected: Record<Counted, number> = {
        clientPackets: sums.sent,
        clientBytes: sums.sentBytes,
        serverPackets: sums.arrived, // each is answered at once, and counted also where the answer is dropped
        serverBytes: sums.arrivedBytes,
      };
      return COUNTED.filter((counted) => seen.reports.connection(name, counted) !== expected[counted]).map(
        (counted) =>
          `${flow} of workload ${i}: ${counted} ${seen.reports.connection(name, counted)}, not ${expected[counted]}`,
      );
    }),
  );
}

function dpChecks(seen: Seen): Check[] {
  const { drops = new Map<string, number>(), reports, kills } = seen;
  const onTheWay = sum(booksOf(seen, DATAGRAMS).map(({ sums }) => sums.sent - sums.arrived));
  const onTheWayBack = sum(booksOf(seen, COUNTED_FLOWS).map(({ sums }) => sums.arrived - sums.answered));
  const notArrived = onTheWay + onTheWayBack - seen.socketOverflows;
  const unexpected = [...drops]
    .filter(([reason]) => reason !== 'policy')
    .map(([reason, count]) => `${count} ${reason}`);
  const threats = [...reports.threats].filter(([message]) => message !== 'policy violation');
  return [
    {
      name: 'packets dropped by policy: those that did not arrive',
      wanted: text(notArrived),
      seen: text(drops.get('policy') ?? 0),
      holds: drops.get('policy') === notArrived,
    },
    noneOf('packets dropped for another reason', unexpected),
    noneOf(
      'threats of another kind',
      threats.map(([message, count]) => `${count} ${message}`),
    ),
    {
      name: 'entries that a kernel table had no room for',
      wanted: '0',
      seen: text(seen.tableLosses ?? 0),
      holds: seen.tableLosses === 0,
    },
    noneOf('commands that dp refused', reports.refusals),
    { name: 'dp killed', wanted: text(kills.wanted), seen: text(kills.done), holds: kills.done === kills.wanted },
    {
      name: 'everything sent again after each',
      wanted: `≥ ${text(kills.done + 1)}`,
      seen: text(seen.syncs),
      holds: seen.syncs > kills.done,
    },
    {
      name: 'memory of dp, at most',
      wanted: `≤ ${MOST_DP_MIB} MiB`,
      seen: `${text(Math.round(seen.dpMib))} MiB`,
      holds: seen.dpMib > 0 && seen.dpMib <= MOST_DP_MIB,
    },
  ];
}

function saidOnly(seen: Seen): Check[] {
  const said = (name: string, count: number): Check => ({ name, wanted: '', seen: text(count) });
  return [
    said('changes of policies', seen.changes),
    said('threats reported', sum([...seen.reports.threats.values()])),
    said('reports that dp counted as lost', seen.reports.lost),
    said('reports that a kill took with it', seen.reportsMissed),
    said('datagrams for which a socket had no room (RcvbufErrors)', seen.socketOverflows),
    said('TCP segments sent again', seen.retransmissions),
  ];
}

export const holds = (checks: readonly Check[]): boolean => checks.every((check) => check.holds !== false);
