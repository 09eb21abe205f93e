// Shows the status of every rule, in files and, where it turned, in the log.
import type { PublishedResource } from '../api/keyspace.ts';
import { describe, type ResourceId } from '../api/resources.ts';
import { CONDITION, type Condition } from '../api/status.ts';
import type { Compiled } from '../compile/compile.ts';
import type { Generation } from '../compile/generations.ts';
import type { Logger } from '../log.ts';
import type { ReportBook } from '../reports/report-book.ts';
import type { Declared } from '../sources/declared.ts';
import { computeStatus, refusedStatus } from './status.ts';
import type { ResourceStatus, StatusFiles } from './status-files.ts';

export type Situation = {
  readonly declared: Declared;
  readonly compiled: Compiled;
  readonly generations: ReadonlyMap<string, Generation>;
  readonly reports: ReportBook;
  /** The resource as it is published now, whichever run published it. */
  readonly published: (id: ResourceId) => PublishedResource | undefined;
  /** RFC 3339. */
  readonly now: string;
};

const RULE_KINDS = ['NetworkRule', 'ClusterNetworkRule', 'NetworkPolicy'];

export class StatusBoard {
  readonly #files: StatusFiles;
  readonly #log: Logger;
  readonly #told = new Map<string, string>();

  constructor(files: StatusFiles, log: Logger) {
    this.#files = files;
    this.#log = log;
  }

  show(situation: Situation): void {
    const statuses = statusesOf(situation, (id) => this.#files.conditionsOf(id));
    for (const { id, status } of statuses) {
      const programmed = status.conditions.find(({ type }) => type === CONDITION.programmed);
      if (programmed) this.#tell(describe(id), programmed, status.workloads.desired);
    }
    this.#files.set(statuses, situation.declared.isComplete);
  }

  #tell(resource: string, { status, reason, message, observedGeneration: generation }: Condition, workloads: number) {
    const news = `${generation} ${status} ${reason}`;
    if (this.#told.get(resource) === news) return;
    this.#told.set(resource, news);
    if (status === 'True') this.#log.info({ resource, generation, workloads }, 'programmed');
    else if (reason !== 'Pending') this.#log.warn({ resource, generation, reason, message }, 'not programmed');
  }
}

/** Those of all rules in force, then those of rules that were never valid. */
function statusesOf(
  { declared, compiled, generations, reports, published, now }: Situation,
  conditionsOf: (id: ResourceId) => readonly Condition[],
): ResourceStatus[] {
  const refusals = new Map<string, { id: ResourceId; messages: string[] }>();
  for (const { resource, message } of declared.refusals) {
    if (!resource || !RULE_KINDS.includes(resource.kind)) continue;
    const { kind, namespace, name } = resource;
    const found = refusals.get(describe(resource)) ?? { id: { kind, namespace, name }, messages: [] };
    found.messages.push(message);
    refusals.set(describe(resource), found);
  }
  const inForce = declared.rules.map((rule) => {
    const status = computeStatus({
      rule,
      generation: generations.get(rule.uid)?.generation ?? 1,
      pods: compiled.selected.get(rule.uid) ?? [],
      refusals: refusals.get(describe(rule))?.messages ?? [],
      reports,
      before: conditionsOf(rule),
      now,
    });
    refusals.delete(describe(rule));
    return { id: rule, status };
  });
  const neverValid = [...refusals.values()].map(({ id, messages }) => ({
    id,
    status: refusedStatus(messages, published(id), conditionsOf(id), now),
  }));
  return [...inForce, ...neverValid];
}
