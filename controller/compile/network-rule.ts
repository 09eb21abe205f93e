// A NetworkRule or ClusterNetworkRule in the published form: the reference's §4.3, one peer an entry.
import { formatAddress, parseAddress, parseEnds } from '../addresses/range.ts';
import { type PublishedRule, TIER } from '../api/keyspace.ts';
import type { Peer } from '../api/network-rule.ts';
import type { PodwallRule } from '../api/resources.ts';
import { type Group, nodeGroup, podGroup } from './groups.ts';
import { ANY, groupText, networkTexts, rangeTexts, sidesOf } from './peers.ts';
import type { CompiledRule, PublishedBody } from './rules.ts';

const EVERY_PORT = 'any';

type Entry = NonNullable<PodwallRule['spec']['egress']>[number] | NonNullable<PodwallRule['spec']['ingress']>[number];

export function compileNetworkRule({ kind, namespace, spec }: PodwallRule): CompiledRule<PublishedBody> {
  const groups: Group[] = [];
  const present = (['egress', 'ingress'] as const).filter((direction) => spec[direction] !== undefined);
  const published: PublishedBody = {
    tier: kind === 'ClusterNetworkRule' ? TIER.clusterNetworkRule : TIER.networkRule,
    priority: spec.priority,
    mode: spec.mode,
    defaultAction: actionOf(spec.defaultAction),
    directions: present.length > 0 ? present : ['egress', 'ingress'],
    rules: [
      ...(spec.egress ?? []).flatMap((entry) => entryRules('egress', entry, entry.to ?? [], namespace, groups)),
      ...(spec.ingress ?? []).flatMap((entry) => entryRules('ingress', entry, entry.from ?? [], namespace, groups)),
    ],
  };
  return { published, groups };
}

const actionOf = (action: 'Allow' | 'Deny'): 'allow' | 'deny' => (action === 'Allow' ? 'allow' : 'deny');

/** Adds to `groups` those that the entry names. */
function entryRules(
  direction: 'egress' | 'ingress',
  { name, action, ports = [], applications = [] }: Entry,
  peers: readonly Peer[],
  namespace: string,
  groups: Group[],
): PublishedRule[] {
  const rule = (peer: string, isVhost: boolean): PublishedRule => ({
    name,
    direction,
    ...sidesOf(direction, peer),
    ports: ports.length > 0 ? ports.join(',') : EVERY_PORT,
    action: actionOf(action),
    applications,
    ...(isVhost ? { vhost: true } : {}),
  });
  if (peers.length === 0) return [rule(ANY, false)];
  return peers.flatMap((peer) => peerTexts(peer, namespace, groups).map((text) => rule(text, peer.vhost === true)));
}

/** None where `except` leaves nothing. */
function peerTexts(peer: Peer, namespace: string, groups: Group[]): string[] {
  if (peer.ip !== undefined) {
    const address = parseAddress(peer.ip);
    return address ? [`nv.ip.${formatAddress(address.family, address.value)}`] : [];
  }
  if (peer.ipRange !== undefined) return rangeTexts(parseEnds(peer.ipRange), []);
  if (peer.cidr !== undefined) return networkTexts(peer.cidr, peer.except ?? []);
  if (peer.fqdn !== undefined) return [`nv.fqdn.${peer.fqdn.toLowerCase().replace(/\.$/, '')}`];
  if (peer.any === true) return [ANY];
  const group = peer.node === undefined ? podGroup(peer, namespace) : nodeGroup(peer.node);
  groups.push(group);
  return [groupText(group)];
}
