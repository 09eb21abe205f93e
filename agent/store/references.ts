// What a node's workloads need of etcd: the rules that they name, and the groups that these name. Pure.
import type { PublishedResource, PublishedWorkload } from '@podwall/controller/api/keyspace.ts';
import { groupOf } from '../policy/peer.ts';

export function namedResources(workloads: readonly PublishedWorkload[]): Set<string> {
  return new Set(workloads.flatMap(({ resources }) => resources));
}

export function namedGroups(resources: readonly PublishedResource[]): Set<string> {
  const peers = resources.flatMap(({ rules }) => rules.flatMap(({ from, to }) => [from, to]));
  return new Set(peers.flatMap((peer) => groupOf(peer) ?? []));
}
