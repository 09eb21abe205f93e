import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AgentReport, keys, type Threat } from '../api/keyspace.ts';
import { addCounts, sumHits } from './counters.ts';
import { ReportBook } from './report-book.ts';

const agent: AgentReport = { node: 'n1', time: '2026-01-01T00:00:00Z', dp: 'connected', errors: [], reportsLost: 0 };
const workload = (...ips: string[]) => ({ uid: 'p', namespace: 'shop', name: 'p', mac: '', ips, realized: {} });
const hits = (count: number, lastHit = '2026-01-01T00:00:00Z') => ({
  uid: 'r',
  rules: { web: { hits: count, lastHit } },
});
const threat = (id: number): Threat => ({
  ...{ time: '2026-01-01T00:00:00Z', id, threat: 'Policy', severity: 'medium', action: 'deny', node: 'n1' },
  ...{ workload: 'shop/p', rule: 'web', direction: 'egress', source: '10.0.0.1', destination: '10.0.0.2' },
  ...{ protocol: 'tcp', sourcePort: 1024, destinationPort: 80, application: 'HTTP', count: 1 },
});

/** etcd's side of it: each step says which keys get which values; null deletes. */
class Reports {
  readonly book = new ReportBook();
  readonly #entries = new Map<string, { value: string }>();

  step(changes: Readonly<Record<string, object | string | null>>) {
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) this.#entries.delete(key);
      else this.#entries.set(key, { value: typeof value === 'string' ? value : JSON.stringify(value) });
    }
    return this.book.apply(Object.keys(changes), this.#entries);
  }
}

const AGENT = keys.agentReport('n1');
const WORKLOAD = keys.workloadReport('n1', 'p');

describe('the address of a workload', () => {
  const ips = ({ book }: Reports) => book.addresses.get('p')?.ips;

  it('is what its agent sees, without what is a link’s own', () => {
    const reports = new Reports();
    const news = reports.step({
      [AGENT]: agent,
      [WORKLOAD]: workload('10.0.0.1', '2001:DB8::1', 'fe80::1', '169.254.0.1', 'x'),
    });
    assert.deepEqual(ips(reports), ['10.0.0.1', '2001:db8::1']);
    assert.equal(news.areAddressesNew, true);
  });
  it('is kept while its agent is away, and also when that comes back with nothing yet', () => {
    const reports = new Reports();
    reports.step({ [AGENT]: agent, [WORKLOAD]: workload('10.0.0.1') });
    assert.equal(reports.step({ [WORKLOAD]: null, [AGENT]: null }).areAddressesNew, false);
    assert.deepEqual(ips(reports), ['10.0.0.1']);
    reports.step({ [AGENT]: agent });
    assert.deepEqual(ips(reports), ['10.0.0.1']);
  });
  it('goes when its agent takes it back', () => {
    const reports = new Reports();
    reports.step({ [AGENT]: agent, [WORKLOAD]: workload('10.0.0.1') });
    assert.equal(reports.step({ [WORKLOAD]: null }).areAddressesNew, true);
    assert.equal(ips(reports), undefined);
  });
});

describe('hits', () => {
  const HITS = (node: string) => keys.hitsReport(node, 'r');
  const total = ({ book }: Reports) => sumHits(book.hits.get('r')?.values() ?? []).get('web');
  const cases: [what: string, steps: Record<string, object | null>[], hits: number][] = [
    ['are summed over nodes', [{ [HITS('n1')]: hits(3), [HITS('n2')]: hits(4) }], 7],
    ['are the last that a node told', [{ [HITS('n1')]: hits(3) }, { [HITS('n1')]: hits(5) }], 5],
    ['stay when a node falls silent', [{ [HITS('n1')]: hits(3) }, { [HITS('n1')]: null }], 3],
    [
      'go on when a node begins anew',
      [{ [HITS('n1')]: hits(3) }, { [HITS('n1')]: null }, { [HITS('n1')]: hits(1) }, { [HITS('n1')]: hits(2) }],
      5,
    ],
    [
      'go on when a rule has none yet after that',
      [{ [HITS('n1')]: hits(3) }, { [HITS('n1')]: { uid: 'r', rules: {} } }, { [HITS('n1')]: hits(2) }],
      5,
    ],
  ];
  for (const [what, steps, expected] of cases) {
    it(what, () => {
      const reports = new Reports();
      for (const step of steps) reports.step(step);
      assert.equal(total(reports)?.hits, expected);
    });
  }
  it('have the latest time of any node', () => {
    const reports = new Reports();
    reports.step({ [HITS('n1')]: hits(1, '2026-01-01T00:00:02Z'), [HITS('n2')]: hits(1, '2026-01-01T00:00:01Z') });
    assert.equal(total(reports)?.lastHit, '2026-01-01T00:00:02Z');
  });
});

describe('threats', () => {
  it('are counted on, packets and reports apart, when a node begins anew', () => {
    const reports = new Reports();
    const step = (packets: number, count: number) =>
      reports.step({ [keys.threatsReport('n1', 'r')]: { uid: 'r', packets, reports: count, last: [] } });
    for (const [packets, count] of [
      [30, 3],
      [40, 4],
      [50, 1],
    ] as const)
      step(packets, count);
    const node = reports.book.threats.get('r')?.get('n1');
    assert.ok(node);
    assert.deepEqual(addCounts(node.earlier, node.last), { packets: 90, reports: 5 });
  });
});

describe('news', () => {
  const THREATS = keys.threatsReport('n1', 'r');
  const ids = (news: ReturnType<Reports['step']>) => news.threats.map(({ threat: { id } }) => id);

  it('are threats that were not there before, each once', () => {
    const reports = new Reports();
    assert.deepEqual(ids(reports.step({ [THREATS]: { uid: 'r', packets: 2, reports: 1, last: [threat(1)] } })), [1]);
    assert.deepEqual(
      ids(reports.step({ [THREATS]: { uid: 'r', packets: 6, reports: 3, last: [threat(1), threat(2), threat(3)] } })),
      [2, 3],
    );
    assert.deepEqual(ids(reports.step({ [THREATS]: null })), []);
    assert.deepEqual(
      ids(reports.step({ [THREATS]: { uid: 'r', packets: 6, reports: 3, last: [threat(2), threat(3)] } })),
      [],
    );
  });
  it('are agents that come and go', () => {
    const reports = new Reports();
    assert.partialDeepStrictEqual(reports.step({ [AGENT]: agent }), { agentsFound: ['n1'], agentsLost: [] });
    assert.partialDeepStrictEqual(reports.step({ [AGENT]: { ...agent, reportsLost: 1 } }), {
      agentsFound: [],
      agentsLost: [],
    });
    assert.partialDeepStrictEqual(reports.step({ [AGENT]: null }), { agentsFound: [], agentsLost: ['n1'] });
  });
  it('are values that are no reports, and these change nothing', () => {
    const reports = new Reports();
    reports.step({ [WORKLOAD]: workload('10.0.0.1') });
    const bad = { [WORKLOAD]: '{', [AGENT]: '{"node":1}', [keys.hitsReport('n1', 'r')]: '[]', [THREATS]: 'null' };
    assert.deepEqual([...reports.step(bad).unreadable].sort(), Object.keys(bad).sort());
    assert.deepEqual(reports.book.addresses.get('p')?.ips, ['10.0.0.1']);
  });
});
