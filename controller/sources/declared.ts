// What a source of manifests declares, whichever source it is.
import type { Refusal } from '../api/parse.ts';
import type { Namespace, Node, Pod, Resource, Rule } from '../api/resources.ts';

export type Declared = {
  readonly rules: readonly Rule[];
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
  readonly nodes: readonly Node[];
  /** What is not taken over, and why; what was valid last is then still among the above. */
  readonly refusals: readonly Refusal[];
  readonly unread: Unread;
};

/**
 * Of which no version could be read yet, though some may be in force from earlier: uids of resources; 'unknown' where not
 * even these can be told.
 */
export type Unread = ReadonlySet<string> | 'unknown';

export const NOTHING_UNREAD: Unread = new Set<string>();

export function declare(resources: readonly Resource[], refusals: readonly Refusal[], unread: Unread): Declared {
  const rules: Rule[] = [];
  const pods: Pod[] = [];
  const namespaces: Namespace[] = [];
  const nodes: Node[] = [];
  for (const resource of resources) {
    if (resource.kind === 'Pod') pods.push(resource);
    else if (resource.kind === 'Namespace') namespaces.push(resource);
    else if (resource.kind === 'Node') nodes.push(resource);
    else rules.push(resource);
  }
  return { rules, pods, namespaces, nodes, refusals, unread };
}
