// The kinds that the controller follows, and where the API server keeps them.
import { NETWORK_POLICY_API_VERSION } from '../api/network-policy.ts';
import { API_VERSION } from '../api/network-rule.ts';
import type { ResourceId } from '../api/resources.ts';
import type { Kind } from './listing.ts';

const RULES = `/apis/${API_VERSION}`;

export const FOLLOWED: readonly Kind[] = [
  { apiVersion: 'v1', kind: 'Namespace', path: '/api/v1/namespaces' },
  { apiVersion: 'v1', kind: 'Node', path: '/api/v1/nodes' },
  { apiVersion: 'v1', kind: 'Pod', path: '/api/v1/pods' },
  {
    apiVersion: NETWORK_POLICY_API_VERSION,
    kind: 'NetworkPolicy',
    path: `/apis/${NETWORK_POLICY_API_VERSION}/networkpolicies`,
  },
  { apiVersion: API_VERSION, kind: 'NetworkRule', path: `${RULES}/networkrules` },
  { apiVersion: API_VERSION, kind: 'ClusterNetworkRule', path: `${RULES}/clusternetworkrules` },
];

export const apiVersionOf = (kind: string): string =>
  FOLLOWED.find((known) => known.kind === kind)?.apiVersion ?? API_VERSION;

/** Where one object's status is written; undefined for kinds that have none of ours, as a NetworkPolicy. */
export function statusPath({ kind, namespace, name }: ResourceId): string | undefined {
  if (kind === 'NetworkRule') return `${RULES}/namespaces/${namespace}/networkrules/${name}/status`;
  return kind === 'ClusterNetworkRule' ? `${RULES}/clusternetworkrules/${name}/status` : undefined;
}
