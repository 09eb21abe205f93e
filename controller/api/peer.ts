// What a rule's peers, ports and applications may be: the parts that both directions of a rule share.
import { APPLICATION_NAMES } from '@podwall/dp/protocol/applications.ts';

const stringMap = { type: 'object', additionalProperties: { type: 'string' } } as const;

/** metav1.LabelSelector: {} selects everything. */
export const labelSelector = {
  type: 'object',
  additionalProperties: false,
  description: 'Labels to select by; {} selects everything.',
  properties: {
    matchLabels: stringMap,
    matchExpressions: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['key', 'operator'],
        properties: {
          key: { type: 'string', minLength: 1 },
          operator: { type: 'string', enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'] },
          values: { type: 'array', items: { type: 'string' } },
        },
      },
    },
  },
} as const;

/** Exactly one kind of peer a list entry; podSelector and namespaceSelector belong together. */
export const peer = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    ip: { type: 'string', format: 'ip', description: 'One IPv4 or IPv6 address.' },
    ipRange: { type: 'string', format: 'ip-range', description: 'First and last address, as in 10.0.0.1-10.0.0.9.' },
    cidr: { type: 'string', format: 'cidr', description: 'A network, as in 10.0.0.0/8.' },
    except: {
      type: 'array',
      items: { type: 'string', format: 'cidr' },
      description: 'With cidr: networks inside it that do not match.',
    },
    fqdn: {
      type: 'string',
      format: 'fqdn-pattern',
      description:
        'A domain name (egress only). *.example.com is one or more labels before example.com, never example.com itself.',
    },
    vhost: {
      type: 'boolean',
      description: 'With fqdn: match the name that the client asks for (TLS SNI, HTTP Host) instead of its addresses.',
    },
    podSelector: {
      ...labelSelector,
      description:
        'Pods by their labels; alone, those of the rule’s own namespace, or for a ClusterNetworkRule those of every namespace.',
    },
    namespaceSelector: { ...labelSelector, description: 'Pods of the namespaces with these labels.' },
    node: { type: 'string', minLength: 1, description: 'A node’s own addresses, by its name; * is every node.' },
    any: { type: 'boolean', const: true, description: 'Every address.' },
  },
} as const;

export const ports = {
  type: 'array',
  items: { type: 'string', format: 'port' },
  description:
    'tcp/443, tcp/8000-8100, udp/53, icmp, icmpv6, any, or the name of a container port. Absent: every port and protocol.',
} as const;

export const applications = {
  type: 'array',
  items: { type: 'string', enum: APPLICATION_NAMES },
  description: 'Only connections that speak one of these, told apart by their payload. Absent: every application.',
} as const;
