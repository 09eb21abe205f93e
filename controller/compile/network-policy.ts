// A NetworkPolicy in the published form: rules that all allow, and a default action that denies where it isolates.
import { type PublishedRule, TIER } from '../api/keyspace.ts';
import {
  isolatedDirections,
  type NetworkPolicyPort,
  type NetworkPolicyRule,
  networkPolicyRules,
} from '../api/network-policy.ts';
import type { NetworkPolicyResource } from '../api/resources.ts';
import { blockGroup, type Group, podGroup } from './groups.ts';
import { ANY, groupText, networkTexts, sidesOf } from './peers.ts';
import type { CompiledRule, PublishedBody } from './rules.ts';

/** Among policies none goes first: what any allows is allowed. */
const PRIORITY = 0;
const EVERY_POD = { podSelector: {}, namespaceSelector: {} } as const;
const EVERY_PORT = 'any';

export function compileNetworkPolicy({ namespace, spec }: NetworkPolicyResource): CompiledRule<PublishedBody> {
  const groups: Group[] = [];
  const published: PublishedBody = {
    tier: TIER.networkPolicy,
    priority: PRIORITY,
    mode: 'Protect',
    defaultAction: 'deny',
    directions: isolatedDirections(spec),
    rules: networkPolicyRules(spec).flatMap((rule) => publishedRules(rule, namespace, groups)),
  };
  return { published, groups };
}

/** Adds to `groups` those that the rule names. */
function publishedRules(rule: NetworkPolicyRule, namespace: string, groups: Group[]): PublishedRule[] {
  const { name, direction, peers, ports } = rule;
  const publish = (peer: string, list: readonly string[]): PublishedRule[] =>
    list.length === 0
      ? []
      : [{ name, direction, ...sidesOf(direction, peer), ports: list.join(','), action: 'allow', applications: [] }];
  const publishGroup = (group: Group, list: readonly string[]): PublishedRule[] => {
    const published = publish(groupText(group), list);
    if (published.length > 0) groups.push(group);
    return published;
  };
  const texts = ports.length === 0 ? [EVERY_PORT] : ports.map(portText);
  // A name is of a port of the destination: which pods these are must be known, also where peers are addresses.
  const named = direction === 'egress' ? ports.filter(isNamed).map(portText) : [];
  const plain = texts.filter((text) => !named.includes(text));
  if (peers.length === 0) return [...publish(ANY, plain), ...publishGroup(podGroup(EVERY_POD, ''), named)];
  return peers.flatMap((peer) => {
    const { ipBlock: block } = peer;
    if (!block) return publishGroup(podGroup(peer, namespace), texts);
    const networks = networkTexts(block.cidr, block.except ?? []).flatMap((text) => publish(text, plain));
    return [...networks, ...publishGroup(blockGroup(block.cidr, block.except ?? []), named)];
  });
}

const isNamed = ({ port }: NetworkPolicyPort): boolean => typeof port === 'string';

/** Without a port, every one of the protocol. */
function portText({ protocol, port, endPort }: NetworkPolicyPort): string {
  const text = port === undefined ? '0-65535' : endPort === undefined ? `${port}` : `${port}-${endPort}`;
  return `${protocol.toLowerCase()}/${text}`;
}
