// From rules and the cluster's inventory to everything that etcd is to hold: one pure function.
import { type GroupMember, keys, type PublishedResource, type PublishedWorkload } from '../api/keyspace.ts';
import type { Pod, Rule } from '../api/resources.ts';
import { findFlaws } from './flaws.ts';
import { FIRST_GENERATION, type Generation } from './generations.ts';
import { type Group, groupMembers } from './groups.ts';
import { type Inventory, type PodScope, selectPods } from './inventory.ts';
import { byPrecedence, compileRule } from './rules.ts';

export type Compiled = {
  /** etcd key → value. */
  readonly entries: ReadonlyMap<string, string>;
  /** Resource uid → the pods that have it to obey, on whichever node. */
  readonly selected: ReadonlyMap<string, readonly Pod[]>;
  /** Resource uid → what of it can't be as it says, in words; only of resources that have any. */
  readonly flaws: ReadonlyMap<string, readonly string[]>;
};

/** `generations`: resource uid → what each rule is published as. */
export function compile(
  rules: readonly Rule[],
  generations: ReadonlyMap<string, Generation>,
  inventory: Inventory,
): Compiled {
  const entries = new Map<string, string>();
  const selected = new Map<string, readonly Pod[]>();
  const all: PublishedResource[] = [];
  const groups = new Map<string, Group>();
  const resourcesOf = new Map<string, PublishedResource[]>();
  for (const rule of rules) {
    const compiled = compileRule(rule, generations.get(rule.uid) ?? FIRST_GENERATION);
    all.push(compiled.published);
    entries.set(keys.rules(rule.uid), JSON.stringify(compiled.published));
    for (const group of compiled.groups) groups.set(group.hash, group);
    const pods = selectPods(scopeOf(rule), inventory).filter(({ node }) => node !== '');
    selected.set(rule.uid, pods);
    for (const { uid } of pods) {
      const resources = resourcesOf.get(uid);
      if (resources) resources.push(compiled.published);
      else resourcesOf.set(uid, [compiled.published]);
    }
  }
  const members = new Map<string, readonly GroupMember[]>();
  for (const group of groups.values()) {
    const found = groupMembers(group, inventory);
    members.set(group.hash, [...found.values()]);
    for (const [uid, member] of found) {
      entries.set(keys.groupMember(group.hash, uid), JSON.stringify(member));
    }
  }
  for (const { uid, namespace, name, node, ports } of inventory.pods) {
    if (node === '') continue;
    const resources = (resourcesOf.get(uid) ?? []).sort(byPrecedence).map((resource) => resource.uid);
    const workload: PublishedWorkload = { uid, namespace, name, resources, ports };
    entries.set(keys.workload(node, uid), JSON.stringify(workload));
  }
  const flaws = new Map<string, readonly string[]>();
  for (const published of all.filter(({ kind }) => kind !== 'NetworkPolicy')) {
    // there, such a port matches nothing
    const ports = (selected.get(published.uid) ?? []).map((pod) => pod.ports);
    const found = findFlaws(published, ports, (hash) => members.get(hash) ?? []);
    if (found.length > 0) flaws.set(published.uid, found);
  }
  return { entries, selected, flaws };
}

/** Whom a rule is for. */
function scopeOf(rule: Rule): PodScope {
  return {
    namespace: rule.kind === 'ClusterNetworkRule' ? undefined : rule.namespace,
    namespaceSelector: rule.kind === 'ClusterNetworkRule' ? (rule.spec.namespaceSelector ?? {}) : {},
    podSelector: rule.kind === 'NetworkPolicy' ? (rule.spec.podSelector ?? {}) : rule.spec.selector,
  };
}
