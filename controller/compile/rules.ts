// A rule resource in the published form: the reference's §4.3, one peer an entry.
import { formatAddress, parseAddress, parseCidr, parseEnds, subtract } from '../addresses/range.ts';
import { type PublishedResource, type PublishedRule, TIER } from '../api/keyspace.ts';
import type { Peer } from '../api/network-rule.ts';
import type { Rule } from '../api/resources.ts';
import { FIRST_GENERATION, type Generation } from './generations.ts';
import { type Group, nodeGroup, podGroup } from './groups.ts';

const WORKLOAD = 'nv.workload';
const ANY = 'nv.any';
const EVERY_PORT = 'any';
/** Of the 1.5 MiB that etcd takes in one request. */
const MAX_PUBLISHED_BYTES = 1024 * 1024;

export type CompiledRule = { readonly published: PublishedResource; readonly groups: readonly Group[] };
type Entry = NonNullable<Rule['spec']['egress']>[number] | NonNullable<Rule['spec']['ingress']>[number];

export function compileRule(rule: Rule, { generation, digest }: Generation): CompiledRule {
  const { kind, namespace, name, uid, spec } = rule;
  const groups: Group[] = [];
  const present = (['egress', 'ingress'] as const).filter((direction) => spec[direction] !== undefined);
  const published: PublishedResource = {
    uid,
    kind,
    namespace,
    name,
    generation,
    ...(digest === undefined ? {} : { digest }),
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

/** Undefined where etcd takes it; else what to do about it, in words. */
export function sizeFault(rule: Rule): string | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(compileRule(rule, FIRST_GENERATION).published));
  if (bytes <= MAX_PUBLISHED_BYTES) return undefined;
  return `comes to ${bytes} bytes as published, and etcd takes ${MAX_PUBLISHED_BYTES}: split it into several`;
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
    from: direction === 'egress' ? WORKLOAD : peer,
    to: direction === 'egress' ? peer : WORKLOAD,
    ports: ports.length > 0 ? ports.join(',') : EVERY_PORT,
    action: actionOf(action),
    applications,
    ...(isVhost ? { vhost: true } : {}),
  });
  if (peers.length === 0) return [rule(ANY, false)];
  return peers.flatMap((peer) => peerAddresses(peer, namespace, groups).map((text) => rule(text, peer.vhost === true)));
}

/** None where `except` leaves nothing. */
function peerAddresses(peer: Peer, namespace: string, groups: Group[]): string[] {
  if (peer.ip !== undefined) {
    const address = parseAddress(peer.ip);
    return address ? [`nv.ip.${formatAddress(address.family, address.value)}`] : [];
  }
  if (peer.ipRange !== undefined) return rangesOf(parseEnds(peer.ipRange), []);
  if (peer.cidr !== undefined) return networkOf(peer.cidr, peer.except ?? []);
  if (peer.fqdn !== undefined) return [`nv.fqdn.${peer.fqdn.toLowerCase().replace(/\.$/, '')}`];
  if (peer.any === true) return [ANY];
  const group = peer.node === undefined ? podGroup(peer, namespace) : nodeGroup(peer.node);
  groups.push(group);
  return [`nv.group.${group.hash}`];
}

function networkOf(cidr: string, except: readonly string[]): string[] {
  const network = parseCidr(cidr);
  if (network && except.length === 0)
    return [`nv.ip.${formatAddress(network.family, network.first)}/${network.prefix}`];
  return rangesOf(network, except);
}

function rangesOf(range: ReturnType<typeof parseEnds>, except: readonly string[]): string[] {
  if (!range) return [];
  const excluded = except.map(parseCidr).filter((network) => network !== undefined);
  return subtract(range, excluded).map(({ family, first, last }) => {
    const from = formatAddress(family, first);
    return first === last ? `nv.ip.${from}` : `nv.ip.${from}-${formatAddress(family, last)}`;
  });
}

/** Those that go first first: by tier, priority, namespace and name. */
export function byPrecedence(a: PublishedResource, b: PublishedResource): number {
  return (
    a.tier - b.tier || a.priority - b.priority || compareText(a.namespace, b.namespace) || compareText(a.name, b.name)
  );
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
