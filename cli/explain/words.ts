// Peers, ports and ends of connections as people read them. Pure.
import type { NetworkPolicyPeer, NetworkPolicyPort } from '@podwall/controller/api/network-policy.ts';
import { networkPolicyRules } from '@podwall/controller/api/network-policy.ts';
import type { LabelSelector, Peer } from '@podwall/controller/api/network-rule.ts';
import type { Rule } from '@podwall/controller/api/resources.ts';
import type { Cluster } from './cluster.ts';
import type { Endpoint, Service } from './question.ts';

/** What a rule is for, in words; undefined for a resource that has no such rule. */
export type RuleWords = { readonly peers: string; readonly ports: string; readonly applications: string };

export function ruleWords(rule: Rule, direction: 'egress' | 'ingress', name: string): RuleWords | undefined {
  if (rule.kind === 'NetworkPolicy') {
    const found = networkPolicyRules(rule.spec).find((one) => one.name === name);
    return (
      found && {
        peers: listed(
          found.peers.map((peer) => policyPeerWords(peer, rule.namespace)),
          'everybody',
        ),
        ports: listed(found.ports.map(policyPortWords), 'every port'),
        applications: 'every application',
      }
    );
  }
  const found = rule.spec[direction]?.find((entry) => entry.name === name);
  const peers = found && ('to' in found ? found.to : 'from' in found ? found.from : undefined);
  return (
    found && {
      peers: listed(
        (peers ?? []).map((peer) => rulePeerWords(peer, rule.namespace)),
        'everybody',
      ),
      ports: listed(found.ports ?? [], 'every port'),
      applications: listed(found.applications ?? [], 'every application'),
    }
  );
}

const listed = (texts: readonly string[], none: string): string => (texts.length > 0 ? texts.join(', or ') : none);

function policyPeerWords({ ipBlock, ...selectors }: NetworkPolicyPeer, namespace: string): string {
  return ipBlock ? blockWords(ipBlock.cidr, ipBlock.except) : podWords(selectors, namespace);
}

function rulePeerWords(peer: Peer, namespace: string): string {
  if (peer.cidr !== undefined) return blockWords(peer.cidr, peer.except);
  if (peer.node !== undefined) return peer.node === '*' ? 'every node' : `node ${peer.node}`;
  if (peer.any) return 'everybody';
  return peer.ip ?? peer.ipRange ?? peer.fqdn ?? podWords(peer, namespace);
}

const blockWords = (cidr: string, except: readonly string[] = []): string =>
  except.length > 0 ? `${cidr} except ${except.join(' and ')}` : cidr;

/** `namespace` is the resource's own; empty for a cluster resource. */
function podWords(
  { podSelector, namespaceSelector }: Pick<Peer, 'podSelector' | 'namespaceSelector'>,
  namespace: string,
): string {
  const pods = selectorWords(podSelector) ?? 'every pod';
  if (!namespaceSelector) return namespace === '' ? `${pods} in every namespace` : `${pods} in namespace ${namespace}`;
  const namespaces = selectorWords(namespaceSelector);
  return namespaces ? `${pods} in namespaces with ${namespaces}` : `${pods} in every namespace`;
}

/** Undefined for one that selects everything. */
function selectorWords({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): string | undefined {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return `a label ${key}`;
    if (operator === 'DoesNotExist') return `no label ${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'not in'} (${values.join(', ')})`;
  });
  const all = [...labels, ...expressions];
  return all.length > 0 ? all.join(' and ') : undefined;
}

function policyPortWords({ protocol, port, endPort }: NetworkPolicyPort): string {
  const name = protocol.toLowerCase();
  if (port === undefined) return `every ${name} port`;
  return endPort === undefined ? `${name}/${port}` : `${name}/${port}-${endPort}`;
}

export function endpointWords(endpoint: Endpoint, cluster: Cluster): string {
  if (endpoint.kind !== 'pod') return endpoint.name;
  const { labels, namespace, ips } = endpoint.pod;
  const own = Object.keys(labels).length > 0 ? labelWords(labels) : 'no labels';
  const parts = [own, `namespace labels ${labelWords(cluster.namespaceLabels(namespace)) || 'none'}`];
  return `${endpoint.name} (${[...parts, cluster.standIns.has(endpoint.name) ? 'no address yet' : ips.join(', ')].join('; ')})`;
}

/** Without the label that only repeats the namespace's name. */
const labelWords = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .filter(([key]) => key !== 'kubernetes.io/metadata.name')
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');

export const serviceWords = ({ protocol, port }: Service): string => (port === 0 ? protocol : `${protocol}/${port}`);
