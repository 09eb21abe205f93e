// Reads the JSON values of etcd's keys: what another process wrote is checked before it is believed.
import { Ajv } from 'ajv';
import type {
  AgentReport,
  GroupMember,
  HitsReport,
  PublishedResource,
  PublishedWorkload,
  ThreatsReport,
  WorkloadReport,
} from './keyspace.ts';

const ajv = new Ajv({ strict: true });
const text = { type: 'string' } as const;
const texts = { type: 'array', items: text } as const;
const count = { type: 'integer', minimum: 0 } as const;
const mapOf = (value: object) => ({ type: 'object', additionalProperties: value });
/** Further members are let through: the other side may be of a later version. */
const object = (properties: Readonly<Record<string, object>>, optional: Readonly<Record<string, object>> = {}) => ({
  type: 'object',
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});

const namedPorts = mapOf({ type: 'array', items: object({ protocol: { enum: ['tcp', 'udp', 'sctp'] }, port: count }) });

const threat = object({
  time: text,
  id: count,
  threat: text,
  severity: { enum: ['info', 'low', 'medium', 'high', 'critical'] },
  action: { enum: ['allow', 'deny', 'learn', 'violate'] },
  node: text,
  workload: text,
  rule: text,
  direction: { enum: ['egress', 'ingress'] },
  source: text,
  destination: text,
  protocol: text,
  sourcePort: count,
  destinationPort: count,
  application: text,
  count,
});

/** Undefined where the value is not what its key is to hold. */
export type Reader<T> = (value: string) => T | undefined;

function reader<T>(schema: object): Reader<T> {
  const validate = ajv.compile<T>(schema);
  return (value) => {
    try {
      const parsed: unknown = JSON.parse(value);
      return validate(parsed) ? parsed : undefined;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  };
}

export const readAgentReport = reader<AgentReport>(
  object({ node: text, time: text, dp: { enum: ['connected', 'disconnected'] }, errors: texts, reportsLost: count }),
);

export const readWorkloadReport = reader<WorkloadReport>(
  object({ uid: text, namespace: text, name: text, mac: text, ips: texts, realized: mapOf(count) }, { error: text }),
);

export const readHitsReport = reader<HitsReport>(
  object({ uid: text, rules: mapOf(object({ hits: count, lastHit: text })) }),
);

export const readThreatsReport = reader<ThreatsReport>(
  object({ uid: text, packets: count, reports: count, last: { type: 'array', items: threat } }),
);

export const readPublishedResource = reader<PublishedResource>(
  object(
    {
      uid: text,
      kind: { enum: ['ClusterNetworkRule', 'NetworkRule', 'NetworkPolicy'] },
      namespace: text,
      name: text,
      generation: count,
      tier: { type: 'integer' },
      priority: { type: 'integer' },
    },
    { digest: text },
  ),
);

export const readPublishedWorkload = reader<PublishedWorkload>(
  object({ uid: text, namespace: text, name: text, resources: texts, ports: namedPorts }),
);

export const readGroupMember = reader<GroupMember>(object({ ips: texts, ports: namedPorts }));
