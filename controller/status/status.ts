// The status of one rule: pure, from the rule, the pods it selects and what agents report.
import { DEFAULT_RULE, MAX_THREATS, type PublishedResource } from '../api/keyspace.ts';
import { networkPolicyRules } from '../api/network-policy.ts';
import type { Pod, Rule } from '../api/resources.ts';
import { CONDITION, type Condition, type NetworkRuleStatus, type RuleHits } from '../api/status.ts';
import { addCounts, NO_THREATS, sumHits } from '../reports/counters.ts';
import type { ReportBook } from '../reports/report-book.ts';
import { programmedCondition, surveyWorkloads } from './programmed.ts';

const MAX_PROBLEMS = 20;
/** Of metav1.Condition. */
const MAX_MESSAGE = 32_768;

export type StatusInput = {
  readonly rule: Rule;
  readonly generation: number;
  readonly pods: readonly Pod[];
  /** Why a later version of the rule is not taken over. */
  readonly refusals: readonly string[];
  /** What of the rule can't be as it says, seen from the cluster's pods; the rest of it is in force. */
  readonly flaws: readonly string[];
  readonly reports: ReportBook;
  /** Of the status before: what did not change keeps its time. */
  readonly before: readonly Condition[];
  /** RFC 3339. */
  readonly now: string;
};

export function computeStatus(input: StatusInput): NetworkRuleStatus {
  const { rule, generation, pods, refusals, flaws, reports, before, now } = input;
  const survey = surveyWorkloads(rule.uid, generation, pods, reports);
  const rules = ruleHits(rule, reports);
  return {
    observedGeneration: generation,
    conditions: [
      withTime(acceptedCondition(generation, refusals, flaws), before, now),
      withTime(programmedCondition(generation, survey), before, now),
    ],
    mode: rule.kind === 'NetworkPolicy' ? 'Protect' : rule.spec.mode,
    workloads: { desired: pods.length, programmed: survey.programmed.length },
    nodes: { desired: survey.nodes.length, programmed: survey.programmedNodes.length },
    summary: {
      workloads: `${survey.programmed.length}/${pods.length}`,
      nodes: `${survey.programmedNodes.length}/${survey.nodes.length}`,
      hits: rules.reduce((sum, { hits }) => sum + hits, 0),
    },
    rules,
    threats: threatsOf(rule.uid, reports),
    problems: survey.problems.slice(0, MAX_PROBLEMS),
  };
}

/** Of a rule of which this run knows no valid version; `kept` is what an earlier one published and is in force still. */
export function refusedStatus(
  refusals: readonly string[],
  kept: PublishedResource | undefined,
  before: readonly Condition[],
  now: string,
): NetworkRuleStatus {
  const observedGeneration = kept?.generation ?? 0;
  const programmed: Untimed = {
    type: CONDITION.programmed,
    status: kept ? 'Unknown' : 'False',
    reason: kept ? 'Kept' : 'NotAccepted',
    message: kept ? `Generation ${kept.generation}, published earlier, stays in force.` : 'Nothing of it is in force.',
    observedGeneration,
  };
  return {
    observedGeneration,
    conditions: [
      withTime(acceptedCondition(observedGeneration, refusals, []), before, now),
      withTime(programmed, before, now),
    ],
    workloads: { desired: 0, programmed: 0 },
    nodes: { desired: 0, programmed: 0 },
    summary: { workloads: '0/0', nodes: '0/0', hits: 0 },
    rules: [],
    threats: { ...NO_THREATS, last: [] },
    problems: [],
  };
}

export type Untimed = Omit<Condition, 'lastTransitionTime'>;

function acceptedCondition(observedGeneration: number, refusals: readonly string[], flaws: readonly string[]): Untimed {
  const faults = [...refusals, ...flaws];
  return {
    type: CONDITION.accepted,
    status: faults.length === 0 ? 'True' : 'False',
    reason: refusals.length > 0 ? 'Invalid' : flaws.length > 0 ? 'UnknownPort' : 'Valid',
    message: faults.join('\n').slice(0, MAX_MESSAGE),
    observedGeneration,
  };
}

function withTime(condition: Untimed, before: readonly Condition[], now: string): Condition {
  const last = before.find(({ type }) => type === condition.type);
  return { ...condition, lastTransitionTime: last?.status === condition.status ? last.lastTransitionTime : now };
}

function ruleHits(rule: Rule, reports: ReportBook): RuleHits[] {
  const sums = sumHits(reports.hits.get(rule.uid)?.values() ?? []);
  return [...ruleNames(rule), DEFAULT_RULE].map((name) => {
    const { hits, lastHit } = sums.get(name) ?? { hits: 0, lastHit: '' };
    return { name, hits, ...(lastHit === '' ? {} : { lastHit }) };
  });
}

function ruleNames({ kind, spec }: Rule): string[] {
  const rules = kind === 'NetworkPolicy' ? networkPolicyRules(spec) : [...(spec.egress ?? []), ...(spec.ingress ?? [])];
  return rules.map(({ name }) => name);
}

function threatsOf(uid: string, reports: ReportBook): NetworkRuleStatus['threats'] {
  const nodes = [...(reports.threats.get(uid)?.values() ?? [])];
  const counts = nodes.flatMap(({ earlier, last }) => [earlier, last]).reduce(addCounts, NO_THREATS);
  const last = nodes.flatMap(({ last }) => last.last).sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
  return { ...counts, last: last.slice(-MAX_THREATS) };
}
