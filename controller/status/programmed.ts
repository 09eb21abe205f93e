// Whether a rule is in force wherever it has to be, by what agents confirmed, and if not, why, in words.
import type { Pod } from '../api/resources.ts';
import { CONDITION } from '../api/status.ts';
import type { ReportBook } from '../reports/report-book.ts';
import type { Untimed } from './status.ts';

const SHOWN_NAMES = 5;

export type Survey = {
  readonly nodes: readonly string[];
  readonly programmedNodes: readonly string[];
  /** namespace/name of the pods, as the following. */
  readonly programmed: readonly string[];
  /** Not confirmed yet, with no error told. */
  readonly pending: readonly string[];
  readonly failures: readonly string[];
  /** What is missing where the rule is in force else. */
  readonly gaps: readonly string[];
  /** Nodes whose agent does not report. */
  readonly silentNodes: readonly string[];
  readonly problems: readonly string[];
};

export function surveyWorkloads(
  resourceUid: string,
  generation: number,
  pods: readonly Pod[],
  reports: ReportBook,
): Survey {
  const nodes = [...new Set(pods.map(({ node }) => node))].sort();
  const silentNodes = nodes.filter((node) => !reports.agents.has(node));
  const silent = new Set(silentNodes);
  const unfinished = new Set(silentNodes);
  const programmed: string[] = [];
  const pending: string[] = [];
  const failures: string[] = [];
  const gaps: string[] = [];
  for (const { uid, namespace, name, node } of pods) {
    const pod = `${namespace}/${name}`;
    if (silent.has(node)) continue;
    const seen = reports.workloads.get(uid);
    const report = seen?.node === node ? seen.report : undefined;
    const isInForce = report?.realized[resourceUid] === generation;
    if (report?.error !== undefined) (isInForce ? gaps : failures).push(`node ${node}: ${pod}: ${report.error}`);
    else if (isInForce) programmed.push(pod);
    else pending.push(pod);
    if (programmed.at(-1) !== pod) unfinished.add(node);
  }
  return {
    nodes,
    programmedNodes: nodes.filter((node) => !unfinished.has(node)),
    programmed,
    pending,
    failures,
    gaps,
    silentNodes,
    problems: [
      ...failures,
      ...gaps,
      ...silentNodes.map((node) => `node ${node}: its agent does not report; what was in force there still is`),
      ...nodes.flatMap((node) => agentProblems(node, reports)),
    ],
  };
}

function agentProblems(node: string, reports: ReportBook): string[] {
  const agent = reports.agents.get(node);
  if (!agent) return [];
  const cutOff = agent.dp === 'disconnected' ? ['its agent does not reach dp; what was in force there still is'] : [];
  return [...cutOff, ...agent.errors].map((problem) => `node ${node}: ${problem}`);
}

export function programmedCondition(observedGeneration: number, survey: Survey): Untimed {
  const condition = (status: 'True' | 'False' | 'Unknown', reason: string, message: string): Untimed => ({
    type: CONDITION.programmed,
    status,
    reason,
    message,
    observedGeneration,
  });
  const { nodes, programmed, pending, failures, gaps, silentNodes } = survey;
  if (nodes.length === 0) return condition('True', 'NoWorkloads', 'It selects no pod that runs.');
  if (failures.length > 0) return condition('False', 'Failed', listed([...failures, ...gaps], '; '));
  if (gaps.length > 0) return condition('False', 'PartlyRealized', `Realised in part: ${listed(gaps, '; ')}`);
  if (silentNodes.length > 0) {
    const what = silentNodes.length === 1 ? 'The agent does not report on node' : 'The agents do not report on nodes';
    return condition('Unknown', 'AgentSilent', `${what} ${listed(silentNodes, ', ')}.`);
  }
  if (pending.length > 0) return condition('False', 'Pending', `Not confirmed yet for ${listed(pending, ', ')}.`);
  const everywhere = `${count(programmed.length, 'pod')} on ${count(nodes.length, 'node')}`;
  return condition('True', 'Programmed', `In force for ${everywhere}.`);
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

function listed(names: readonly string[], separator: string): string {
  const more = names.length - SHOWN_NAMES;
  return names.slice(0, SHOWN_NAMES).join(separator) + (more > 0 ? ` and ${more} more` : '');
}
