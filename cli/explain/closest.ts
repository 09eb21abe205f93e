// The rule that would have allowed a denied connection but for the least, and what of it did not match. Pure.
import type { PublishedResource, PublishedRule } from '@podwall/controller/api/keyspace.ts';
import type { Pod } from '@podwall/controller/api/resources.ts';
import type { Connection } from '@podwall/dp/policy/reference-classifier.ts';
import { ACTION } from '@podwall/dp/protocol/values.ts';
import type { Cluster } from './cluster.ts';
import type { Side, Verdict } from './verdict.ts';
import { endpointWords, type RuleWords, ruleWords, serviceWords } from './words.ts';

export type Mismatch = { readonly field: 'from' | 'to' | 'ports' | 'applications'; readonly message: string };
export type NearMiss = {
  readonly resource: PublishedResource;
  readonly rule: string;
  /** At least one. */
  readonly mismatches: readonly Mismatch[];
};

/** Of the rules that allow anything in this direction, the first of those with the fewest mismatches. */
export function closestRule(side: Side, verdict: Verdict, cluster: Cluster): NearMiss | undefined {
  const { endpoint, enforced, direction } = side;
  if (endpoint.kind !== 'pod' || !enforced) return undefined;
  const misses = enforced.resources.flatMap((resource) => {
    const allowing = resource.rules.filter((rule) => rule.direction === direction && rule.action === 'allow');
    const names = [...new Set(allowing.map(({ name }) => name))];
    return names.flatMap((rule) => {
      const entries = allowing.filter(({ name }) => name === rule);
      const mismatches = mismatchesOf(
        new Probe(endpoint.pod, resource, entries, side.connection, cluster),
        side,
        verdict,
        cluster,
      );
      return mismatches.length > 0 ? [{ resource, rule, mismatches }] : [];
    });
  });
  return misses.sort((a, b) => a.mismatches.length - b.mismatches.length)[0];
}

function mismatchesOf(probe: Probe, side: Side, { question }: Verdict, cluster: Cluster): Mismatch[] {
  const words = probe.words(side.direction);
  if (!words) return [];
  const field = side.direction === 'egress' ? 'to' : 'from';
  const other = side.direction === 'egress' ? question.to : question.from;
  const isPeer = probe.matches({ ports: 'any', applications: [] });
  const isPort = isPeer ? probe.matches({ applications: [] }) : probe.matches({ [field]: 'nv.any', applications: [] });
  const mismatches: Mismatch[] = [];
  if (!isPeer) mismatches.push({ field, message: `it has ${words.peers}, not ${endpointWords(other, cluster)}` });
  if (!isPort)
    mismatches.push({ field: 'ports', message: `it has ${words.ports}, not ${serviceWords(question.service)}` });
  if (isPeer && isPort && !probe.matches({}))
    mismatches.push({ field: 'applications', message: `it has ${words.applications}, which is not what is spoken` });
  return mismatches;
}

/** Asks one rule of a pod, changed in parts, whether it matches: by the same way as all rules. */
class Probe {
  readonly #pod: Pod;
  readonly #resource: PublishedResource;
  readonly #entries: readonly PublishedRule[];
  readonly #connection: Connection;
  readonly #cluster: Cluster;

  constructor(
    pod: Pod,
    resource: PublishedResource,
    entries: readonly PublishedRule[],
    connection: Connection,
    cluster: Cluster,
  ) {
    this.#pod = pod;
    this.#resource = resource;
    this.#entries = entries;
    this.#connection = connection;
    this.#cluster = cluster;
  }

  matches(change: Partial<PublishedRule>): boolean {
    const rules = this.#entries.map((entry) => ({ ...entry, ...change }));
    const alone: PublishedResource = { ...this.#resource, mode: 'Protect', defaultAction: 'deny', rules };
    const decision = this.#cluster.classifierFor(this.#pod, [alone])?.(this.#connection);
    return decision !== undefined && decision !== 'undecided' && decision.action === ACTION.open;
  }

  words(direction: Side['direction']): RuleWords | undefined {
    const rule = this.#cluster.rules.get(this.#resource.uid);
    return rule && ruleWords(rule, direction, this.#entries[0]?.name ?? '');
  }
}
