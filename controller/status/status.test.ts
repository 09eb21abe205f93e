import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AgentReport, keys, type Threat, type WorkloadReport } from '../api/keyspace.ts';
import { parseManifest } from '../api/parse.ts';
import type { Pod, Rule } from '../api/resources.ts';
import type { Condition, NetworkRuleStatus } from '../api/status.ts';
import { ReportBook } from '../reports/report-book.ts';
import { computeStatus, refusedStatus } from './status.ts';

const NOW = '2026-01-01T00:00:10Z';
const EARLIER = '2026-01-01T00:00:00Z';
const GENERATION = 3;

function parse(manifest: object) {
  const parsed = parseManifest(manifest);
  assert.ok('resource' in parsed);
  return parsed.resource;
}

const rule = parse({
  apiVersion: 'podwall.io/v1alpha1',
  kind: 'NetworkRule',
  metadata: { name: 'r', uid: 'r' },
  spec: {
    selector: {},
    mode: 'Monitor',
    egress: [{ name: 'out', action: 'Allow' }],
    ingress: [{ name: 'in', action: 'Deny' }],
  },
}) as Rule; // by its kind

/** `a` and `b` on node n1, `c` on node n2. */
const pods = Object.entries({ a: 'n1', b: 'n1', c: 'n2' }).map(
  ([name, nodeName]) =>
    parse({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'shop', uid: name },
      spec: { nodeName },
    }) as Pod, // by its kind
);

const agent = (node: string, more: Partial<AgentReport> = {}): object => ({
  [keys.agentReport(node)]: { node, time: NOW, dp: 'connected', errors: [], reportsLost: 0, ...more },
});
const workload = (uid: string, node: string, generation: number, error?: string): object => {
  const report: WorkloadReport = { uid, namespace: 'shop', name: uid, mac: '', ips: [], realized: { r: generation } };
  return { [keys.workloadReport(node, uid)]: error === undefined ? report : { ...report, error } };
};

function status(
  reports: object,
  options: { selected?: readonly Pod[]; refusals?: string[]; flaws?: string[]; before?: Condition[] } = {},
) {
  const book = new ReportBook();
  const entries = new Map(Object.entries(reports).map(([key, value]) => [key, { value: JSON.stringify(value) }]));
  book.apply([...entries.keys()], entries);
  const { selected = pods, refusals = [], flaws = [], before = [] } = options;
  return computeStatus({
    rule,
    generation: GENERATION,
    pods: selected,
    refusals,
    flaws,
    reports: book,
    before,
    now: NOW,
  });
}

const condition = ({ conditions }: NetworkRuleStatus, type: string): Condition => {
  const found = conditions.find((one) => one.type === type);
  assert.ok(found);
  return found;
};

const all = {
  ...agent('n1'),
  ...agent('n2'),
  ...workload('a', 'n1', 3),
  ...workload('b', 'n1', 3),
  ...workload('c', 'n2', 3),
};

describe('a rule is programmed', () => {
  const cases: [
    what: string,
    reports: object,
    status: string,
    reason: string,
    message: string,
    workloads: number,
    nodes: number,
  ][] = [
    ['when every pod that it selects is confirmed', all, 'True', 'Programmed', 'In force for 3 pods on 2 nodes.', 3, 2],
    [
      'not while one still has an older generation',
      { ...all, ...workload('b', 'n1', 2) },
      'False',
      'Pending',
      'Not confirmed yet for shop/b.',
      2,
      1,
    ],
    [
      'not while one is confirmed by another node’s agent',
      { ...all, [keys.workloadReport('n2', 'c')]: {}, ...workload('c', 'n1', 3) },
      'False',
      'Pending',
      'Not confirmed yet for shop/c.',
      2,
      1,
    ],
    [
      'perhaps, where an agent does not report',
      { ...all, [keys.agentReport('n2')]: {} },
      'Unknown',
      'AgentSilent',
      'The agent does not report on node n2.',
      2,
      1,
    ],
    ['perhaps, where no agent does', {}, 'Unknown', 'AgentSilent', 'The agents do not report on nodes n1, n2.', 0, 0],
    [
      'not where one failed, and this is said first',
      { ...agent('n1'), ...workload('a', 'n1', 2, 'the policy has 70000 ports, and 65536 fit') },
      'False',
      'Failed',
      'node n1: shop/a: the policy has 70000 ports, and 65536 fit',
      0,
      0,
    ],
    [
      'not where what came after it, as new members of a group, failed',
      { ...all, ...workload('a', 'n1', 3, 'x') },
      'False',
      'PartlyRealized',
      'Realised in part: node n1: shop/a: x',
      2,
      1,
    ],
    [
      'not where a part of it was left out',
      {
        ...all,
        ...workload('c', 'n2', 3, 'NetworkRule shop/r, rule out: no container port is named web at 1 of 4 peers'),
      },
      'False',
      'PartlyRealized',
      'Realised in part: node n2: shop/c: NetworkRule shop/r, rule out: no container port is named web at 1 of 4 peers',
      2,
      1,
    ],
    [
      'not at all where one failed and another is in force in part',
      { ...all, ...workload('a', 'n1', 3, 'x'), ...workload('b', 'n1', 2, 'y') },
      'False',
      'Failed',
      'node n1: shop/b: y; node n1: shop/a: x',
      1,
      1,
    ],
  ];
  for (const [what, reports, expected, reason, message, workloads, nodes] of cases) {
    it(what, () => {
      const found = status(reports);
      assert.partialDeepStrictEqual(condition(found, 'Programmed'), {
        status: expected,
        reason,
        message,
        observedGeneration: GENERATION,
      });
      assert.deepEqual(
        [found.workloads, found.nodes],
        [
          { desired: 3, programmed: workloads },
          { desired: 2, programmed: nodes },
        ],
      );
    });
  }
  it('where there is no pod to program', () => {
    assert.partialDeepStrictEqual(condition(status({}, { selected: [] }), 'Programmed'), {
      status: 'True',
      reason: 'NoWorkloads',
    });
  });
});

describe('a status says', () => {
  it('what could not be realised, and where', () => {
    const reports = {
      ...all,
      ...agent('n1', { dp: 'disconnected', errors: ['no NRI socket'] }),
      [keys.agentReport('n2')]: {},
    };
    assert.deepEqual(status(reports).problems, [
      'node n2: its agent does not report; what was in force there still is',
      'node n1: its agent does not reach dp; what was in force there still is',
      'node n1: no NRI socket',
    ]);
  });
  it('hits by rule in the order of the spec, then by default', () => {
    const hits = {
      uid: 'r',
      rules: {
        in: { hits: 2, lastHit: EARLIER },
        '(default)': { hits: 5, lastHit: NOW },
        gone: { hits: 9, lastHit: NOW },
      },
    };
    assert.deepEqual(status({ [keys.hitsReport('n1', 'r')]: hits }).rules, [
      { name: 'out', hits: 0 },
      { name: 'in', hits: 2, lastHit: EARLIER },
      { name: '(default)', hits: 5, lastHit: NOW },
    ]);
  });
  it('the last 20 threats of all nodes by their time, and how many there were', () => {
    const threats = (node: string, from: number): object => {
      const last = Array.from({ length: 15 }, (_, index): Threat => {
        const time = new Date(Date.parse(EARLIER) + (from + 2 * index) * 1000).toISOString();
        return {
          ...{
            time,
            id: 1,
            threat: 'Policy',
            severity: 'medium',
            action: 'deny',
            node,
            workload: 'shop/a',
            rule: 'in',
          },
          ...{
            direction: 'ingress',
            source: '::1',
            destination: '::2',
            protocol: 'tcp',
            sourcePort: 1,
            destinationPort: 2,
          },
          ...{ application: 'unknown', count: 1 },
        };
      });
      return { [keys.threatsReport(node, 'r')]: { uid: 'r', packets: 100, reports: 30, last } };
    };
    const { packets, reports, last } = status({ ...threats('n1', 0), ...threats('n2', 1) }).threats;
    assert.deepEqual([packets, reports], [200, 60]);
    assert.equal(last.length, 20);
    assert.deepEqual(
      last.slice(-2).map(({ node }) => node),
      ['n1', 'n2'],
    );
    assert.deepEqual(
      last.map(({ time }) => time),
      last.map(({ time }) => time).sort(),
    );
  });
  it('since when a condition is as it is', () => {
    const before = (value: Condition['status']): Condition[] => [
      {
        type: 'Programmed',
        status: value,
        reason: 'Old',
        message: '',
        observedGeneration: 2,
        lastTransitionTime: EARLIER,
      },
    ];
    const since = (value: Condition['status']) =>
      condition(status(all, { before: before(value) }), 'Programmed').lastTransitionTime;
    assert.deepEqual([since('True'), since('False')], [EARLIER, NOW]);
  });
  it('that a later version is refused, and what of the rule is in force', () => {
    const found = status(all, { refusals: ['a.yaml: one', 'a.yaml: two'] });
    assert.partialDeepStrictEqual(condition(found, 'Accepted'), {
      status: 'False',
      reason: 'Invalid',
      message: 'a.yaml: one\na.yaml: two',
    });
    assert.equal(condition(found, 'Programmed').status, 'True');
  });
  it('that nothing is in force of a rule that was never valid', () => {
    const found = refusedStatus(['a.yaml: one'], undefined, [], NOW);
    assert.equal(condition(found, 'Accepted').message, 'a.yaml: one');
    assert.partialDeepStrictEqual(condition(found, 'Programmed'), { status: 'False', reason: 'NotAccepted' });
  });
});
