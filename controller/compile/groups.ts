// Groups of peers that a rule names by selector or by node; rules with equal selectors share one.
import { createHash } from 'node:crypto';
import type { GroupMember } from '../api/keyspace.ts';
import type { Peer } from '../api/network-rule.ts';
import { type Inventory, type PodScope, selectPods } from './inventory.ts';
import { canonicalSelector } from './selectors.ts';

export type Group = { readonly hash: string } & (
  | { readonly kind: 'pods'; readonly scope: PodScope }
  | { readonly kind: 'nodes'; readonly node: string }
);

const HASH_CHARACTERS = 24;
export const EVERY_NODE = '*';
const EVERYTHING = {} as const;

/** `namespace` is the rule's own; empty for a cluster rule, whose podSelector alone means the pods of every namespace. */
export function podGroup({ podSelector, namespaceSelector }: Peer, namespace: string): Group {
  const isOwnNamespace = namespaceSelector === undefined && namespace !== '';
  const scope: PodScope = {
    namespace: isOwnNamespace ? namespace : undefined,
    namespaceSelector: namespaceSelector ?? EVERYTHING,
    podSelector: podSelector ?? EVERYTHING,
  };
  const namespaces = isOwnNamespace ? namespace : canonicalSelector(scope.namespaceSelector);
  return { kind: 'pods', scope, hash: hashOf('pods', namespaces, canonicalSelector(scope.podSelector)) };
}

export const nodeGroup = (node: string): Group => ({ kind: 'nodes', node, hash: hashOf('node', node) });

/** Member uid → what is published of it; whoever has no address yet is no member. */
export function groupMembers(group: Group, inventory: Inventory): Map<string, GroupMember> {
  const members =
    group.kind === 'nodes'
      ? inventory.nodes
          .filter(({ name }) => group.node === EVERY_NODE || group.node === name)
          .map(({ uid, ips }) => [uid, { ips, ports: {} }] as const)
      : selectPods(group.scope, inventory).map(({ uid, ips, ports }) => {
          const known = ips.length > 0 ? ips : (inventory.reportedIps.get(uid) ?? []);
          return [uid, { ips: known, ports }] as const;
        });
  return new Map(members.filter(([, { ips }]) => ips.length > 0));
}

const hashOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, HASH_CHARACTERS);
