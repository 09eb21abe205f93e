// What Podwall reads of the cluster's own resources: Pod, Namespace and Node. Every other field is let through.
import type { FromSchema } from 'json-schema-to-ts';

const stringMap = { type: 'object', additionalProperties: { type: 'string' } } as const;

const metadata = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253 },
    namespace: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
    uid: { type: 'string', pattern: '^[A-Za-z0-9._-]+$' },
    labels: stringMap,
  },
} as const;

const address = { type: 'string', format: 'ip' } as const;

const containerPort = {
  type: 'object',
  required: ['containerPort'],
  properties: {
    name: { type: 'string' },
    containerPort: { type: 'integer', minimum: 1, maximum: 65_535 },
    protocol: { type: 'string', enum: ['TCP', 'UDP', 'SCTP'], default: 'TCP' },
  },
} as const;

const container = { type: 'object', properties: { ports: { type: 'array', items: containerPort } } } as const;

export const pod = {
  type: 'object',
  required: ['apiVersion', 'kind', 'metadata'],
  properties: {
    apiVersion: { type: 'string', const: 'v1' },
    kind: { type: 'string', const: 'Pod' },
    metadata,
    spec: {
      type: 'object',
      properties: {
        nodeName: { type: 'string', pattern: '^[A-Za-z0-9._-]*$' },
        hostNetwork: { type: 'boolean' },
        containers: { type: 'array', items: container },
        initContainers: {
          type: 'array',
          items: { type: 'object', properties: { ...container.properties, restartPolicy: { type: 'string' } } },
        },
      },
    },
    status: {
      type: 'object',
      properties: {
        phase: { type: 'string' },
        podIP: address,
        podIPs: { type: 'array', items: { type: 'object', required: ['ip'], properties: { ip: address } } },
      },
    },
  },
} as const;

export const namespace = {
  type: 'object',
  required: ['apiVersion', 'kind', 'metadata'],
  properties: { apiVersion: { type: 'string', const: 'v1' }, kind: { type: 'string', const: 'Namespace' }, metadata },
} as const;

export const node = {
  type: 'object',
  required: ['apiVersion', 'kind', 'metadata'],
  properties: {
    apiVersion: { type: 'string', const: 'v1' },
    kind: { type: 'string', const: 'Node' },
    metadata,
    status: {
      type: 'object',
      properties: {
        addresses: {
          type: 'array',
          items: {
            type: 'object',
            required: ['type', 'address'],
            properties: { type: { type: 'string' }, address: { type: 'string' } },
          },
        },
      },
    },
  },
} as const;

export type PodManifest = FromSchema<typeof pod>;
export type NamespaceManifest = FromSchema<typeof namespace>;
export type NodeManifest = FromSchema<typeof node>;
