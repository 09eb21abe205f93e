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
  /** False while something could never be read: what it would declare may be in force from earlier. */
  readonly isComplete: boolean;
};

export function declare(resources: readonly Resource[], refusals: readonly Refusal[], isComplete: boolean): Declared {
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
  return { rules, pods, namespaces, nodes, refusals, isComplete };
}
