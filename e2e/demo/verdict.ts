// Decides, from what a client got and what Podwall reports, whether a scenario held and which rule decided it.
import type { Threat } from '@podwall/controller/api/keyspace.ts';
import type { Completed } from '../lab/command.ts';
import type { RuleStatus } from '../lab/rule-folder.ts';

/** Where a scenario's packets go. */
export type Endpoint = { readonly ip: string; readonly port: number };

export type Expected =
  | { readonly kind: 'passes'; readonly answer: string }
  /** No answer at all: dropped without a word to the client. */
  | { readonly kind: 'dropped' };

export type Scenario = {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly expected: Expected;
  /** As `decidingRule` names it. */
  readonly rule: string;
};

export type Row = {
  readonly name: string;
  readonly expected: string;
  readonly seen: string;
  /** What Podwall reports as having decided; NO_RULE where no rule is for the workload. */
  readonly rule: string;
  /** How long the client took. */
  readonly ms: number;
  readonly held: boolean;
};

export const NO_RULE = '-';
export const NOT_REPORTED = 'not reported';
export const NOT_LOGGED = 'not in the agent’s log';

/** What the client saw, in the words of `Expected`, or in its own. */
export function describeOutcome({ timedOut, code, stdout, stderr }: Completed, expected: Expected): string {
  const answer = stdout.trim();
  if (timedOut) return 'dropped';
  if (code !== 0) return `failed: ${lastLine(stderr) || `exit code ${code}`}`;
  if (expected.kind === 'dropped') return `answered: ${answer}`;
  return answer === expected.answer ? 'passes' : `answered: ${answer || 'nothing'}`;
}

/**
 * The rule that a status which came after names for the scenario, as resource/rule: the one whose hits rose, and for what
 * was dropped also the one of the threat reported; undefined as long as the status tells none.
 */
export function decidingRule(
  resource: string,
  { endpoint, expected }: Pick<Scenario, 'endpoint' | 'expected'>,
  before: RuleStatus,
  after: RuleStatus,
): string | undefined {
  const dropping = newThreats(endpoint, before, after);
  // Hits come later than the threat: not waiting for them would have them count for the next scenario.
  const rules = newHits(before, after).filter((rule) => expected.kind === 'passes' || dropping.has(rule));
  return rules.length === 0 ? undefined : rules.map((rule) => `${resource}/${rule}`).join(', ');
}

export function judge(scenario: Scenario, completed: Completed, rule: string): Row {
  const { name, expected } = scenario;
  const seen = describeOutcome(completed, expected);
  const held = seen === expected.kind && rule === scenario.rule;
  return { name, expected: expected.kind, seen, rule, ms: Math.round(completed.ms), held };
}

function newThreats(endpoint: Endpoint, before: RuleStatus, after: RuleStatus): Set<string> {
  const known = new Set(before.threats.map((threat) => JSON.stringify(threat)));
  const drops = after.threats.filter((threat) => !known.has(JSON.stringify(threat)) && isDropOf(endpoint, threat));
  return new Set(drops.map(({ rule }) => rule));
}

type LoggedThreat = Pick<Threat, 'action' | 'destination' | 'destinationPort' | 'rule'>;

const isDropOf = ({ ip, port }: Endpoint, { action, destination, destinationPort }: LoggedThreat): boolean =>
  action === 'deny' && destination === ip && destinationPort === port;

/** Whether the agent's log, of one JSON object a line, has the rule drop something on its way there. */
export function isInAgentLog(log: string, resource: string, rule: string, endpoint: Endpoint): boolean {
  const lines = log.split('\n').filter((line) => line.includes(endpoint.ip));
  const entries = lines.map((line): LoggedThreat => JSON.parse(line));
  return entries.some((entry) => isDropOf(endpoint, entry) && `${resource}/${entry.rule}` === rule);
}

function newHits(before: RuleStatus, after: RuleStatus): string[] {
  const known = new Map(before.rules.map(({ name, hits }) => [name, hits]));
  return after.rules.filter(({ name, hits }) => hits > (known.get(name) ?? 0)).map(({ name }) => name);
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
