// What both sides of a connection say, and by which resource and rule. Pure.
import type { ComputedPolicy } from '@podwall/agent/policy/policy.ts';
import { FIRST_RULE_ID } from '@podwall/agent/policy/policy.ts';
import { DEFAULT_RULE, type PublishedResource } from '@podwall/controller/api/keyspace.ts';
import type { Connection, Decision } from '@podwall/dp/policy/reference-classifier.ts';
import { applicationName, UNKNOWN_APPLICATION } from '@podwall/dp/protocol/applications.ts';
import { ACTION, type Action, PROTOCOL } from '@podwall/dp/protocol/values.ts';
import type { Cluster, Enforced } from './cluster.ts';
import { addressesOf, type Endpoint, type Question } from './question.ts';

export type Direction = 'egress' | 'ingress';

/** Why a side says what it says. */
export type Decider =
  /** Nothing polices it; `why` in words. */
  | { readonly kind: 'unpoliced'; readonly why: string }
  /** The pod's own node may always open connections to it. */
  | { readonly kind: 'node' }
  | { readonly kind: 'rule'; readonly resource: PublishedResource; readonly rule: string }
  /** No rule matched. `isolating`: every resource that would have it denied, where it is. */
  | {
      readonly kind: 'default';
      readonly resource: PublishedResource;
      readonly isolating: readonly PublishedResource[];
    };

export type Outcome = {
  /** The application that it is for; absent: whatever is spoken, or what no other outcome is for. */
  readonly application?: string;
  readonly action: Action;
  readonly by: Decider;
};

/** One of a pod. More than one outcome where it depends on the application: the last is for all others. */
export type Side = {
  readonly direction: Direction;
  readonly endpoint: Endpoint;
  readonly enforced: Enforced | undefined;
  readonly connection: Connection;
  readonly outcomes: readonly Outcome[];
};

export type Verdict = { readonly question: Question; readonly egress: Side; readonly ingress: Side };

/** Learnt and violating traffic passes. */
export const passes = ({ action }: Outcome): boolean => action !== ACTION.deny;
export const isAllowed = ({ outcomes }: Side): boolean => outcomes.some(passes);

/** The applications of which one must be spoken to pass; undefined where none need be, or nothing passes. */
export function neededApplications({ outcomes }: Side): readonly string[] | undefined {
  if (!outcomes.some(passes) || outcomes.every(passes)) return undefined;
  const others = outcomes.at(-1);
  if (others && passes(others)) return undefined;
  return outcomes.filter(passes).flatMap(({ application }) => application ?? []);
}

/** Those that must not be spoken where all others may; none where nothing else passes. */
export function deniedApplications({ outcomes }: Side): readonly string[] {
  const others = outcomes.at(-1);
  if (!others || !passes(others)) return [];
  return outcomes.filter((outcome) => !passes(outcome)).flatMap(({ application }) => application ?? []);
}

/** Undefined where no application need be spoken; empty where the sides need others, or deny what the other needs. */
export function neededByBoth({ egress, ingress }: Verdict): readonly string[] | undefined {
  const [out, into] = [neededApplications(egress), neededApplications(ingress)];
  const denied = [...deniedApplications(egress), ...deniedApplications(ingress)];
  const needed = out && into ? out.filter((application) => into.includes(application)) : (out ?? into);
  return needed?.filter((application) => !denied.includes(application));
}

/** Whether both sides let it pass, if need be with an application that both allow. */
export const passesBoth = (verdict: Verdict): boolean =>
  isAllowed(verdict.egress) && isAllowed(verdict.ingress) && neededByBoth(verdict)?.length !== 0;

/** Throws QuestionError. */
export function judge(question: Question, cluster: Cluster): Verdict {
  const { from, to, service, application } = question;
  const addresses = addressesOf(question);
  const shared = { protocol: PROTOCOL[service.protocol], port: service.port, application };
  const names = to.kind === 'fqdn' ? [to.name] : [];
  const out = { ...shared, direction: 'egress', local: addresses.from, peer: addresses.to, names } as const;
  const into = { ...shared, direction: 'ingress', local: addresses.to, peer: addresses.from, names: [] } as const;
  const isSelf = from.kind === 'pod' && to.kind === 'pod' && from.pod === to.pod;
  return { question, egress: side(from, out, cluster, isSelf), ingress: side(to, into, cluster, isSelf) };
}

function side(endpoint: Endpoint, connection: Connection, cluster: Cluster, isSelf: boolean): Side {
  const { direction } = connection;
  const enforced = endpoint.kind === 'pod' ? cluster.enforcedOn(endpoint.pod) : undefined;
  const unpoliced = (why: string): Side => {
    const outcomes = [{ action: ACTION.open, by: { kind: 'unpoliced', why } }] as const;
    return { direction, endpoint, enforced, connection, outcomes };
  };
  if (endpoint.kind !== 'pod') return unpoliced('it is no pod');
  if (isSelf) return unpoliced('what a pod sends to itself never leaves it');
  if (!enforced) return unpoliced('the pod is on its node’s network, which is left alone');
  return { direction, endpoint, enforced, connection, outcomes: outcomesOf(connection, enforced) };
}

function outcomesOf(connection: Connection, enforced: Enforced): Outcome[] {
  const { computed, classify } = enforced;
  const decision = classify(connection);
  if (decision !== 'undecided') return [outcome(decision, connection, enforced)];
  const applications = new Set(computed.policy?.policy_rules.flatMap(({ apps = [] }) => apps.map(({ app }) => app)));
  const settled = (application: number): Outcome => {
    const found = classify({ ...connection, application });
    if (found === 'undecided') throw new Error('a connection whose application is known was left undecided');
    return outcome(found, connection, enforced);
  };
  const others = settled(UNKNOWN_APPLICATION);
  const known = [...applications].sort((a, b) => a - b);
  const told = known.map((number) => ({ application: applicationName(number), ...settled(number) }));
  return [...told.filter(({ action, by }) => action !== others.action || !isSameDecider(by, others.by)), others];
}

function outcome(
  { action, ruleId }: Exclude<Decision, 'undecided'>,
  { direction }: Connection,
  { computed, resources }: Enforced,
): Outcome {
  const byUid = (uid: string | undefined) => resources.find((resource) => resource.uid === uid);
  if (ruleId > 0 && ruleId < FIRST_RULE_ID) return { action, by: { kind: 'node' } };
  const name = computed.ruleNames.get(ruleId);
  const resource = byUid(name?.uid ?? computed.defaultOf[direction]);
  if (!resource) return { action, by: { kind: 'unpoliced', why: unpolicedWords(direction, computed) } };
  if (name && name.rule !== DEFAULT_RULE) return { action, by: { kind: 'rule', resource, rule: name.rule } };
  const isolating = action === ACTION.deny ? resources.filter((one) => deniesByDefault(one, direction)) : [];
  return { action, by: { kind: 'default', resource, isolating } };
}

const deniesByDefault = ({ directions, defaultAction, mode }: PublishedResource, direction: Direction): boolean =>
  directions.includes(direction) && defaultAction === 'deny' && mode === 'Protect';

const unpolicedWords = (direction: Direction, { policy }: ComputedPolicy): string =>
  policy ? `none of the resources that select it has rules for ${direction}` : 'no resource selects it';

function isSameDecider(a: Decider, b: Decider): boolean {
  if (a.kind === 'rule' && b.kind === 'rule') return a.resource === b.resource && a.rule === b.rule;
  return a.kind === b.kind;
}
