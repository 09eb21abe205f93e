// networking.k8s.io/v1 NetworkPolicy, as the API server takes it. Upstream's semantics of every field are kept exactly.
import type { FromSchema } from 'json-schema-to-ts';
import { labelSelector } from './peer.ts';

export const NETWORK_POLICY_API_VERSION = 'networking.k8s.io/v1';

const port = {
  type: 'object',
  additionalProperties: false,
  properties: {
    protocol: { type: 'string', enum: ['TCP', 'UDP', 'SCTP'], default: 'TCP' },
    port: { type: ['integer', 'string'], description: 'A number or a container port’s name. Absent: every port.' },
    endPort: { type: 'integer', description: 'The last port of a range that begins at a numbered `port`.' },
  },
} as const;

const peer = {
  type: 'object',
  additionalProperties: false,
  properties: {
    podSelector: { ...labelSelector, description: 'Alone: pods of the policy’s own namespace.' },
    namespaceSelector: { ...labelSelector, description: 'Alone: every pod of these namespaces.' },
    ipBlock: {
      type: 'object',
      additionalProperties: false,
      required: ['cidr'],
      properties: {
        cidr: { type: 'string', format: 'cidr' },
        except: { type: 'array', items: { type: 'string', format: 'cidr' } },
      },
    },
  },
} as const;

const ports = { type: 'array', items: port, description: 'Absent or empty: every port of every protocol.' } as const;
const peers = { type: 'array', items: peer, description: 'Absent or empty: every peer.' } as const;

export const networkPolicy = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  properties: {
    apiVersion: { type: 'string', const: NETWORK_POLICY_API_VERSION },
    kind: { type: 'string', const: 'NetworkPolicy' },
    metadata: {
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253 },
        namespace: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
        uid: { type: 'string', pattern: '^[A-Za-z0-9._-]+$' },
        generation: { type: 'integer', minimum: 0 },
      },
    },
    spec: {
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        podSelector: { ...labelSelector, description: 'Absent or empty: every pod of the namespace.' },
        ingress: {
          type: 'array',
          items: { type: 'object', additionalProperties: false, properties: { ports, from: peers } },
        },
        egress: {
          type: 'array',
          items: { type: 'object', additionalProperties: false, properties: { ports, to: peers } },
        },
        policyTypes: {
          type: 'array',
          maxItems: 2,
          items: { type: 'string', enum: ['Ingress', 'Egress'] },
          description: 'Absent or empty: Ingress, and Egress where there is an egress rule.',
        },
      },
    },
    status: { type: 'object' },
  },
} as const;

export type NetworkPolicy = FromSchema<typeof networkPolicy>;
export type NetworkPolicySpec = NetworkPolicy['spec'];
export type NetworkPolicyPeer = FromSchema<typeof peer>;
export type NetworkPolicyPort = FromSchema<typeof port>;
type Direction = 'egress' | 'ingress';

/** The directions in which the pods selected are isolated. */
export function isolatedDirections({ policyTypes = [], egress = [] }: NetworkPolicySpec): readonly Direction[] {
  if (policyTypes.length === 0) return egress.length > 0 ? ['egress', 'ingress'] : ['ingress'];
  return (['egress', 'ingress'] as const).filter((direction) => policyTypes.includes(TYPE[direction]));
}

const TYPE = { egress: 'Egress', ingress: 'Ingress' } as const;

export type NetworkPolicyRule = {
  /** By its place, as it has no name of its own: `ingress[0]`. */
  readonly name: string;
  readonly direction: Direction;
  readonly peers: readonly NetworkPolicyPeer[];
  readonly ports: readonly NetworkPolicyPort[];
};

/** Of the directions that the policy isolates: upstream ignores the rules of the others. */
export function networkPolicyRules(spec: NetworkPolicySpec): NetworkPolicyRule[] {
  return isolatedDirections(spec).flatMap((direction) => allRules(spec).filter((rule) => rule.direction === direction));
}

/** Also those that are ignored. */
export function allRules({ egress = [], ingress = [] }: NetworkPolicySpec): NetworkPolicyRule[] {
  return [
    ...egress.map(({ to = [], ports: list = [] }, i) => ruleOf('egress', i, to, list)),
    ...ingress.map(({ from = [], ports: list = [] }, i) => ruleOf('ingress', i, from, list)),
  ];
}

function ruleOf(
  direction: Direction,
  index: number,
  peerList: readonly NetworkPolicyPeer[],
  portList: readonly NetworkPolicyPort[],
): NetworkPolicyRule {
  return { name: `${direction}[${index}]`, direction, peers: peerList, ports: portList };
}
