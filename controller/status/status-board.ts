// Shows the status of every rule, and says in the log and to whoever listens what turned.
import { DEFAULT_RULE, type PublishedResource } from '../api/keyspace.ts';
import { describe, type ResourceId } from '../api/resources.ts';
import { CONDITION, type Condition, type NetworkRuleStatus } from '../api/status.ts';
import type { Compiled } from '../compile/compile.ts';
import type { Generation } from '../compile/generations.ts';
import type { Logger } from '../log.ts';
import type { ReportBook } from '../reports/report-book.ts';
import type { Declared } from '../sources/declared.ts';
import { computeStatus, refusedStatus } from './status.ts';
import type { ResourceStatus, Shown, StatusSink } from './status-sink.ts';

export type Situation = {
  readonly declared: Declared;
  readonly compiled: Compiled;
  readonly generations: ReadonlyMap<string, Generation>;
  /** Resource uid → what of it can't be as it says, seen from the cluster's pods. */
  readonly flaws: ReadonlyMap<string, readonly string[]>;
  readonly reports: ReportBook;
  /** The resource as it is published now, whichever run published it. */
  readonly published: (id: ResourceId) => PublishedResource | undefined;
  /** RFC 3339. */
  readonly now: string;
};

/** Something that people may want to be told of. */
export type Turn = {
  readonly resource: ResourceId;
  readonly isWarning: boolean;
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
};

const RULE_KINDS = ['NetworkRule', 'ClusterNetworkRule', 'NetworkPolicy'];

export class StatusBoard {
  readonly #sink: StatusSink;
  readonly #log: Logger;
  readonly #announce: (turn: Turn) => void;
  readonly #told = new Map<string, string>();
  #statuses: readonly ResourceStatus[] = [];

  constructor(sink: StatusSink, log: Logger, announce: (turn: Turn) => void) {
    this.#sink = sink;
    this.#log = log;
    this.#announce = announce;
  }

  /** As shown last. */
  get statuses(): readonly ResourceStatus[] {
    return this.#statuses;
  }

  show(situation: Situation): void {
    const statuses = statusesOf(situation, (id) => this.#sink.shown(id));
    this.#statuses = statuses;
    for (const { id, status } of statuses) {
      const programmed = status.conditions.find(({ type }) => type === CONDITION.programmed);
      if (programmed) this.#tell(describe(id), programmed, status.workloads.desired);
      for (const turn of turnsOf(id, this.#sink.shown(id), status)) this.#announce(turn);
    }
    this.#sink.set(statuses, situation.declared.unread !== 'unknown');
  }

  #tell(resource: string, { status, reason, message, observedGeneration: generation }: Condition, workloads: number) {
    const news = `${generation} ${status} ${reason}`;
    if (this.#told.get(resource) === news) return;
    this.#told.set(resource, news);
    if (status === 'True') this.#log.info({ resource, generation, workloads }, 'programmed');
    else if (reason !== 'Pending') this.#log.warn({ resource, generation, reason, message }, 'not programmed');
  }
}

/** What is other than it was shown: a refusal, a failure, that all is in force, the first violation. */
function turnsOf(resource: ResourceId, before: Shown, { conditions, threats }: NetworkRuleStatus): Turn[] {
  const turns = conditions.flatMap((condition): Turn[] => {
    const { type, status, reason, message } = condition;
    const last = before.conditions.find((other) => other.type === type);
    const isOld =
      last?.status === status && last.reason === reason && last.observedGeneration === condition.observedGeneration;
    const isGood = status === 'True';
    if (isOld || reason === 'Pending' || (isGood && type === CONDITION.accepted && !last)) return [];
    return [{ resource, isWarning: !isGood, reason: isGood ? type : reason, message: message || `${type} again.` }];
  });
  const first = threats.last[0];
  if (before.hasThreats || !first) return turns;
  const { workload, node, rule, source, sourcePort, destination, destinationPort, protocol, action } = first;
  const by = rule === DEFAULT_RULE ? 'the default action' : `rule ${rule}`;
  const what = action === 'violate' ? 'would be denied' : 'denied';
  const flow = `${source}:${sourcePort} → ${destination}:${destinationPort} ${protocol}`;
  const message = `First violation: ${workload} on node ${node}: ${flow}, ${what} by ${by}.`;
  return [...turns, { resource, isWarning: true, reason: 'Violation', message }];
}

/** Those of all rules in force, then those of rules that were never valid. */
function statusesOf(
  { declared, compiled, generations, flaws, reports, published, now }: Situation,
  shown: (id: ResourceId) => Shown,
): ResourceStatus[] {
  const refusals = new Map<string, { id: ResourceId; messages: string[] }>();
  for (const { resource, message } of declared.refusals) {
    if (!resource || !RULE_KINDS.includes(resource.kind)) continue;
    const found = refusals.get(describe(resource)) ?? { id: resource, messages: [] };
    found.messages.push(message);
    refusals.set(describe(resource), found);
  }
  const inForce = declared.rules.map((rule) => {
    const status = computeStatus({
      rule,
      generation: generations.get(rule.uid)?.generation ?? 1,
      pods: compiled.selected.get(rule.uid) ?? [],
      refusals: refusals.get(describe(rule))?.messages ?? [],
      flaws: flaws.get(rule.uid) ?? [],
      reports,
      before: shown(rule).conditions,
      now,
    });
    refusals.delete(describe(rule));
    return { id: rule, status };
  });
  const neverValid = [...refusals.values()].map(({ id, messages }) => ({
    id,
    status: refusedStatus(messages, published(id), shown(id).conditions, now),
  }));
  return [...inForce, ...neverValid];
}
