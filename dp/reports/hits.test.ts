// The hits of rules as the agent is told of them: what changed since the last time.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Harness, type Workload } from '../bpf/harness.ts';
import { rule } from '../bpf/rules.ts';
import { decodeReport, encodeReport, type RuleHits } from '../protocol/reports.ts';
import { HitCounters } from './hits.ts';

const PEER = '10.1.0.9';
const harness = new Harness();
after(() => harness[Symbol.dispose]());
const counters = new HitCounters(harness.datapath, harness.engine.workloads);

type OfRevision = { readonly revision: number; readonly rules: readonly RuleHits[] };

function reportedOf(workload: Workload, from = counters): OfRevision[] {
  return from
    .collect()
    .reports.map((report) => decodeReport(encodeReport(report, 1)).report)
    .flatMap((report) => (report.kind === 'ruleHits' && report.mac === workload.mac ? [report] : []));
}
const hitsOf = (reports: readonly OfRevision[]) =>
  reports.map(({ revision, rules }) => [revision, Object.fromEntries(rules.map(({ ruleId, hits }) => [ruleId, hits]))]);
const revisionOf = (workload: Workload) => harness.engine.workloads.withMac(workload.mac)[0]?.state.revision;

describe('the hits of rules', () => {
  it('count connections, by the rule that decided, and the default action as rule 0', () => {
    const workload = harness.workload({
      rules: [rule({ id: 1001, ports: 'tcp/1' }), rule({ id: 1002, ports: 'tcp/2', action: 2 })],
    });
    for (const port of [1, 1, 1, 2, 2, 3]) workload.connectionTo(PEER, port).open();
    const reports = reportedOf(workload);
    assert.deepEqual(hitsOf(reports), [[revisionOf(workload), { 0: 1n, 1001: 3n, 1002: 2n }]]);
    assert.ok(Math.abs((reports[0]?.rules[0]?.lastHitAt ?? 0) - Date.now() / 1000) < 60);
  });
  it('count a connection once, however many packets it has', () => {
    const workload = harness.workload({ rules: [rule({ id: 1001 })] });
    const connection = workload.connectionTo(PEER, 1).establish();
    for (let i = 0; i < 5; i++) connection.say('client', 'hello');
    assert.deepEqual(hitsOf(reportedOf(workload)), [[2, { 1001: 1n }]]);
  });
  it('are told when they change, as sums, and not again', () => {
    const workload = harness.workload({
      rules: [rule({ id: 1001, ports: 'tcp/1' }), rule({ id: 1002, ports: 'tcp/2' })],
    });
    for (const port of [1, 2]) workload.connectionTo(PEER, port).open();
    assert.deepEqual(hitsOf(reportedOf(workload)), [[2, { 1001: 1n, 1002: 1n }]]);
    assert.deepEqual(reportedOf(workload), []);
    workload.connectionTo(PEER, 2).open();
    assert.deepEqual(hitsOf(reportedOf(workload)), [[2, { 1002: 2n }]]);
  });
  it('of a policy that was replaced are told once more, apart from those of the new one, and then removed', () => {
    const workload = harness.workload({ rules: [rule({ id: 1001 })] });
    workload.connectionTo(PEER, 1).open();
    workload.enforce({ rules: [rule({ id: 1001 }), rule({ id: 1002, direction: 'ingress' })] });
    workload.connectionTo(PEER, 1).open();
    assert.deepEqual(
      hitsOf(reportedOf(workload)).sort(([a], [b]) => Number(a) - Number(b)),
      [
        [2, { 1001: 1n }],
        [3, { 1001: 1n }],
      ],
    );
    assert.deepEqual(reportedOf(workload), []);
    const left = harness.datapath.hits.entries().filter(([key]) => key.endpoint === workload.id);
    assert.deepEqual(
      left.map(([{ revision }]) => revision),
      [3],
    );
  });
  it('of a policy that was replaced are told by a dp that starts before they were told twice', () => {
    const workload = harness.workload({ rules: [rule({ id: 1001 })] });
    workload.connectionTo(PEER, 1).open();
    workload.enforce({ rules: [rule({ id: 1001 }), rule({ id: 1002, direction: 'ingress' })] });
    const told = [[2, { 1001: 1n }]];
    assert.deepEqual(hitsOf(reportedOf(workload)), told);
    const next = new HitCounters(harness.datapath, harness.engine.workloads);
    assert.deepEqual(hitsOf(reportedOf(workload, next)), told);
  });
  it('of many policies are told a part at a time, and removed as they were told', () => {
    const workload = harness.workload();
    for (let times = 0; times < 5; times++) {
      workload.enforce({ rules: [rule({ id: 1001, ports: `tcp/1-${1 + times}` })] });
      workload.connectionTo(PEER, 1).open();
    }
    const next = new HitCounters(harness.datapath, harness.engine.workloads);
    const told: [number, unknown][] = [];
    const left: number[] = [];
    for (let isAll = false, calls = 0; !isAll && calls < 1000; calls++) {
      const part = next.collect(2);
      assert.ok(part.reports.length <= 2);
      for (const report of part.reports)
        if (report.kind === 'ruleHits' && report.mac === workload.mac)
          told.push([report.revision, report.rules[0]?.hits]);
      left.push(harness.datapath.hits.entries().filter(([key]) => key.endpoint === workload.id).length);
      isAll = part.isAll;
    }
    assert.deepEqual(
      told.toSorted(([a], [b]) => a - b),
      [2, 3, 4, 5, 6].map((revision) => [revision, 1n]),
    );
    next.collect();
    left.push(harness.datapath.hits.entries().filter(([key]) => key.endpoint === workload.id).length);
    assert.deepEqual(
      left,
      left.toSorted((a, b) => b - a),
    );
    assert.deepEqual([left[0], left.at(-1)], [5, 1]);
  });
  it('are told again where reports were lost', () => {
    const workload = harness.workload({ rules: [rule({ id: 1001 })] });
    workload.connectionTo(PEER, 1).open();
    const told = [[2, { 1001: 1n }]];
    assert.deepEqual(hitsOf(reportedOf(workload)), told);
    counters.forgetReported();
    assert.deepEqual(hitsOf(reportedOf(workload)), told);
  });
  it('go on where only the addresses of a name change, or tap', () => {
    const workload = harness.workload({ rules: [rule({ id: 1001, peer: 'fqdn:hits.example.com' })] });
    harness.setName('hits.example.com', [PEER]);
    workload.connectionTo(PEER, 1).open();
    harness.setName('hits.example.com', [PEER, '10.1.0.10']);
    workload.configure({ tap: true });
    workload.connectionTo(PEER, 2).open();
    assert.deepEqual(hitsOf(reportedOf(workload)), [[2, { 1001: 2n }]]);
  });
  it('are none where there is no policy, or the direction is not policed', () => {
    const workload = harness.workload();
    workload.connectionTo(PEER, 1).open();
    workload.enforce({ dir: 1, rules: [rule({ id: 1001 })] });
    workload.connectionTo(PEER, 2).open();
    assert.deepEqual(reportedOf(workload), []);
  });
  it('of more rules than fit a datagram come in several', () => {
    const rules = Array.from({ length: 2500 }, (_, i) => rule({ id: 1001 + i, ports: `tcp/${1 + i}` }));
    const workload = harness.workload({ rules });
    for (const { port } of rules) workload.connectionTo(PEER, port).open();
    const reports = reportedOf(workload);
    assert.ok(reports.length > 1);
    assert.deepEqual(
      reports.flatMap((report) => report.rules.map(({ ruleId }) => ruleId)).sort((a, b) => a - b),
      rules.map(({ id }) => id),
    );
  });
});
