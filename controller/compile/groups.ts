// Groups of peers that a rule names by selector or by node; rules with equal selectors share one.
import { createHash } from 'node:crypto';
import { type AddressRange, isWithin, parseAddress, parseCidr, subtract } from '../addresses/range.ts';
import type { GroupMember } from '../api/keyspace.ts';
import type { Peer } from '../api/network-rule.ts';
import type { Pod } from '../api/resources.ts';
import { type Inventory, type PodScope, selectPods } from './inventory.ts';
import { networksOf } from './peers.ts';
import { canonicalSelector } from './selectors.ts';

export type Group = { readonly hash: string } & (
  | { readonly kind: 'pods'; readonly scope: PodScope }
  | { readonly kind: 'block'; readonly ranges: readonly AddressRange[] }
  | { readonly kind: 'nodes'; readonly node: string }
);

const HASH_CHARACTERS = 24;
export const EVERY_NODE = '*';
const EVERYTHING = {} as const;

/** `namespace` is the rule's own; empty for a cluster rule, whose podSelector alone means the pods of every namespace. */
export function podGroup(
  { podSelector, namespaceSelector }: Pick<Peer, 'podSelector' | 'namespaceSelector'>,
  namespace: string,
): Group {
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

/** The pods that have addresses in a network, and of these only such addresses: where a port has a name, pods must be known. */
export function blockGroup(cidr: string, except: readonly string[]): Group {
  const network = parseCidr(cidr);
  const ranges = network ? subtract(network, networksOf(except)) : [];
  const texts = ranges.map(({ family, first, last }) => `${family}:${first}-${last}`);
  return { kind: 'block', ranges, hash: hashOf('block', ...texts) };
}

/** Member uid → what is published of it; whoever has no address yet is no member. */
export function groupMembers(group: Group, inventory: Inventory): Map<string, GroupMember> {
  return new Map(candidates(group, inventory).filter(([, { ips }]) => ips.length > 0));
}

function candidates(group: Group, inventory: Inventory): (readonly [string, GroupMember])[] {
  switch (group.kind) {
    case 'nodes':
      return inventory.nodes
        .filter(({ name }) => group.node === EVERY_NODE || group.node === name)
        .map(({ uid, ips }) => [uid, { ips, ports: {} }] as const);
    case 'pods':
      return selectPods(group.scope, inventory).map((pod) => memberOf(pod, inventory));
    case 'block':
      return inventory.pods.map((pod) => {
        const [uid, { ips, ports }] = memberOf(pod, inventory);
        return [uid, { ips: ips.filter((ip) => isInBlock(ip, group.ranges)), ports }] as const;
      });
  }
}

function memberOf({ uid, ips, ports }: Pod, { reportedIps }: Inventory): readonly [string, GroupMember] {
  return [uid, { ips: ips.length > 0 ? ips : (reportedIps.get(uid) ?? []), ports }];
}

function isInBlock(ip: string, ranges: readonly AddressRange[]): boolean {
  const address = parseAddress(ip);
  return address !== undefined && ranges.some((range) => isWithin(address, range));
}

const hashOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, HASH_CHARACTERS);
