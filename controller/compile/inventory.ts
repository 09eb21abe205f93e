// What rules are compiled against: the cluster's pods, namespaces and nodes, and the addresses that agents saw.
import type { LabelSelector } from '../api/network-rule.ts';
import { NAMESPACE_NAME_LABEL, type Namespace, type Node, type Pod } from '../api/resources.ts';
import { selects } from './selectors.ts';

export type Inventory = {
  /** Those that have an interface of their own; neither ended nor on their node's network. */
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  /** Labels of every namespace that has a manifest. */
  readonly namespaceLabels: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Pod uid → addresses as its agent reported them. */
  readonly reportedIps: ReadonlyMap<string, readonly string[]>;
};

export function takeInventory(
  pods: readonly Pod[],
  namespaces: readonly Namespace[],
  nodes: readonly Node[],
  reportedIps: ReadonlyMap<string, readonly string[]>,
): Inventory {
  return {
    pods: pods.filter(({ isOnHostNetwork, hasEnded }) => !isOnHostNetwork && !hasEnded),
    nodes,
    namespaceLabels: new Map(namespaces.map(({ name, labels }) => [name, labels])),
    reportedIps,
  };
}

/** Which pods: those of one namespace or of the namespaces selected, and among them those selected. */
export type PodScope = {
  readonly namespace: string | undefined;
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
};

/** A namespace without a manifest has only the label of its name. */
export function selectPods({ namespace, namespaceSelector, podSelector }: PodScope, inventory: Inventory): Pod[] {
  const isInScope = new Map<string, boolean>();
  const selectsNamespace = (name: string): boolean => {
    if (namespace !== undefined) return name === namespace;
    const known = isInScope.get(name);
    if (known !== undefined) return known;
    const labels = inventory.namespaceLabels.get(name) ?? { [NAMESPACE_NAME_LABEL]: name };
    const isSelected = selects(namespaceSelector, labels);
    isInScope.set(name, isSelected);
    return isSelected;
  };
  return inventory.pods.filter((pod) => selectsNamespace(pod.namespace) && selects(podSelector, pod.labels));
}
