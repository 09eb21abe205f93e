// What the controller works on, once it is known to be valid: rules, pods, namespaces and nodes, wherever they came from.
import { createHash } from 'node:crypto';
import { canonicalAddress, parseAddress } from '../addresses/range.ts';
import type { NamespaceManifest, NodeManifest, PodManifest } from './cluster.ts';
import type { NamedPort, NamedPorts } from './keyspace.ts';
import type { NetworkPolicy, NetworkPolicySpec } from './network-policy.ts';
import type { ClusterNetworkRule, NetworkRule } from './network-rule.ts';

type Identity = { readonly name: string; readonly uid: string };
type Labels = Readonly<Record<string, string>>;

type RuleIdentity = Identity & {
  /** Undefined where its source keeps none: the controller then counts. */
  readonly generation: number | undefined;
};

/** Podwall's own two kinds. */
export type PodwallRule =
  | (RuleIdentity & { readonly kind: 'NetworkRule'; readonly namespace: string; readonly spec: NetworkRule['spec'] })
  | (RuleIdentity & {
      readonly kind: 'ClusterNetworkRule';
      readonly namespace: '';
      readonly spec: ClusterNetworkRule['spec'];
    });

export type NetworkPolicyResource = RuleIdentity & {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly spec: NetworkPolicySpec;
};

export type Rule = PodwallRule | NetworkPolicyResource;

export type Pod = Identity & {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly labels: Labels;
  /** Empty until it is scheduled. */
  readonly node: string;
  /** On its node's own network, where no interface is its own: it can be neither policed nor told apart. */
  readonly isOnHostNetwork: boolean;
  /** Succeeded or Failed: its addresses may already be another's. */
  readonly hasEnded: boolean;
  readonly ips: readonly string[];
  readonly ports: NamedPorts;
};

export type Namespace = Identity & { readonly kind: 'Namespace'; readonly namespace: ''; readonly labels: Labels };
export type Node = Identity & { readonly kind: 'Node'; readonly namespace: ''; readonly ips: readonly string[] };
export type Resource = Rule | Pod | Namespace | Node;

export type ResourceId = {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Where its source gives it one. */
  readonly uid?: string;
};

/** `NetworkRule shop/checkout`, `Node worker-1`: what people and logs call it, unique among all. */
export const describe = ({ kind, namespace, name }: ResourceId): string =>
  `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`;

export const DEFAULT_NAMESPACE = 'default';
/** Every namespace has it, whether or not its manifest says so. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

export function toNetworkRule({ metadata, spec }: NetworkRule): PodwallRule {
  const id = { kind: 'NetworkRule', namespace: metadata.namespace ?? DEFAULT_NAMESPACE, name: metadata.name } as const;
  return { ...id, uid: metadata.uid ?? stableUid(id), generation: metadata.generation, spec };
}

export function toClusterNetworkRule({ metadata, spec }: ClusterNetworkRule): PodwallRule {
  const id = { kind: 'ClusterNetworkRule', namespace: '', name: metadata.name } as const;
  return { ...id, uid: metadata.uid ?? stableUid(id), generation: metadata.generation, spec };
}

export function toNetworkPolicy({ metadata, spec }: NetworkPolicy): NetworkPolicyResource {
  const namespace = metadata.namespace ?? DEFAULT_NAMESPACE;
  const id = { kind: 'NetworkPolicy', namespace, name: metadata.name } as const;
  return { ...id, uid: metadata.uid ?? stableUid(id), generation: metadata.generation, spec };
}

export function toPod({ metadata, spec, status }: PodManifest): Pod {
  const id = { kind: 'Pod', namespace: metadata.namespace ?? DEFAULT_NAMESPACE, name: metadata.name } as const;
  const ips = [...(status?.podIPs ?? []).map(({ ip }) => ip), ...(status?.podIP ? [status.podIP] : [])];
  return {
    ...id,
    uid: metadata.uid ?? stableUid(id),
    labels: metadata.labels ?? {},
    node: spec?.nodeName ?? '',
    isOnHostNetwork: spec?.hostNetwork ?? false,
    hasEnded: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    ips: [...new Set(ips.map(canonicalAddress))],
    ports: namedPorts(spec),
  };
}

export function toNamespace({ metadata }: NamespaceManifest): Namespace {
  const id = { kind: 'Namespace', namespace: '', name: metadata.name } as const;
  const labels = { ...metadata.labels, [NAMESPACE_NAME_LABEL]: metadata.name };
  return { ...id, uid: metadata.uid ?? stableUid(id), labels };
}

export function toNode({ metadata, status }: NodeManifest): Node {
  const id = { kind: 'Node', namespace: '', name: metadata.name } as const;
  const ips = (status?.addresses ?? []).map(({ address }) => address).filter((text) => parseAddress(text)); // also hostnames
  return { ...id, uid: metadata.uid ?? stableUid(id), ips: [...new Set(ips.map(canonicalAddress))] };
}

/** Of containers, and of init containers that go on beside them (sidecars). */
function namedPorts({ containers = [], initContainers = [] }: NonNullable<PodManifest['spec']> = {}): NamedPorts {
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const byName = new Map<string, NamedPort[]>();
  for (const { name, containerPort: port, protocol } of [...containers, ...sidecars].flatMap(
    ({ ports = [] }) => ports,
  )) {
    if (name === undefined) continue;
    const ports = byName.get(name) ?? [];
    const known = { protocol: PROTOCOLS[protocol], port };
    if (!ports.some((other) => other.protocol === known.protocol && other.port === port)) ports.push(known);
    byName.set(name, ports);
  }
  return Object.fromEntries([...byName].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const PROTOCOLS = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const;

/** The same for the same kind, namespace and name, in the form of a UUID (RFC 9562, version 8: the maker's own). */
function stableUid({ kind, namespace, name }: ResourceId): string {
  const hex = createHash('sha256').update(`${kind}/${namespace}/${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
