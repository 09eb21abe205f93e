// NetworkRule and ClusterNetworkRule. The schema is the source: the CRD, the validator and the type come from it.
import type { FromSchema } from 'json-schema-to-ts';
import { applications, labelSelector, peer, ports } from './peer.ts';

export const GROUP = 'podwall.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
export const DEFAULT_PRIORITY = 1000;

const ruleBase = {
  name: {
    type: 'string',
    pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    maxLength: 63,
    description: 'Unique within the resource; status and logs call the rule by it.',
  },
  action: { type: 'string', enum: ['Allow', 'Deny'] },
  ports,
  applications,
} as const;

const peers = { type: 'array', items: peer, description: 'Absent or empty: every address.' } as const;

const egressRule = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'action'],
  properties: { ...ruleBase, to: peers },
} as const;

const ingressRule = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'action'],
  properties: { ...ruleBase, from: peers },
} as const;

const specProperties = {
  selector: { ...labelSelector, description: 'Pods the rule is for; {} is every pod of the namespace.' },
  mode: {
    type: 'string',
    enum: ['Discover', 'Monitor', 'Protect'],
    default: 'Protect',
    description:
      'Protect enforces. Monitor lets pass what would be denied and reports it as a violation. Discover lets pass and reports what no rule matches.',
  },
  priority: {
    type: 'integer',
    minimum: 0,
    maximum: 1_000_000,
    default: DEFAULT_PRIORITY,
    description: 'Lower goes first among the resources that select a pod.',
  },
  defaultAction: {
    type: 'string',
    enum: ['Allow', 'Deny'],
    default: 'Deny',
    description: 'For what no rule matches, in the directions that this resource has rules for.',
  },
  egress: {
    type: 'array',
    items: egressRule,
    description: 'What the pods may send. The first rule that matches decides.',
  },
  ingress: {
    type: 'array',
    items: ingressRule,
    description: 'What the pods may receive. The first rule that matches decides.',
  },
} as const;

export const networkRuleSpec = {
  type: 'object',
  additionalProperties: false,
  required: ['selector'],
  properties: specProperties,
} as const;

export const clusterNetworkRuleSpec = {
  type: 'object',
  additionalProperties: false,
  required: ['selector'],
  properties: {
    ...specProperties,
    namespaceSelector: { ...labelSelector, description: 'Namespaces whose pods are selected; absent: all of them.' },
  },
} as const;

/** What Podwall reads of metadata; anything else that the API server keeps there is let through. */
const metadata = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253 },
    namespace: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
    uid: { type: 'string', pattern: '^[A-Za-z0-9._-]+$' },
    generation: { type: 'integer', minimum: 0 },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    annotations: { type: 'object', additionalProperties: { type: 'string' } },
  },
} as const;

export const networkRule = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  properties: {
    apiVersion: { type: 'string', const: API_VERSION },
    kind: { type: 'string', const: 'NetworkRule' },
    metadata,
    spec: networkRuleSpec,
    status: { type: 'object' },
  },
} as const;

export const clusterNetworkRule = {
  ...networkRule,
  properties: {
    ...networkRule.properties,
    kind: { type: 'string', const: 'ClusterNetworkRule' },
    spec: clusterNetworkRuleSpec,
  },
} as const;

export type NetworkRule = FromSchema<typeof networkRule>;
export type ClusterNetworkRule = FromSchema<typeof clusterNetworkRule>;
export type Peer = FromSchema<typeof peer>;
export type LabelSelector = FromSchema<typeof labelSelector>;
