// Reads the values that the controller writes to etcd; what is not of their form is refused here.
import type { GroupMember, PublishedResource, PublishedWorkload } from '@podwall/controller/api/keyspace.ts';
import { formats } from '@podwall/dp/protocol/formats.ts';
import { Ajv, type ValidateFunction } from 'ajv';

const text = { type: 'string' } as const;
const texts = { type: 'array', items: text } as const;

const namedPorts = {
  type: 'object',
  additionalProperties: {
    type: 'array',
    items: {
      type: 'object',
      required: ['protocol', 'port'],
      properties: {
        protocol: { enum: ['tcp', 'udp', 'sctp'] },
        port: { type: 'integer', minimum: 1, maximum: 0xffff },
      },
    },
  },
} as const;

const workload = {
  type: 'object',
  required: ['uid', 'namespace', 'name', 'resources', 'ports'],
  properties: { uid: text, namespace: text, name: text, resources: texts, ports: namedPorts },
} as const;

const rule = {
  type: 'object',
  required: ['name', 'direction', 'from', 'to', 'ports', 'action', 'applications'],
  properties: {
    name: text,
    direction: { enum: ['egress', 'ingress'] },
    from: text,
    to: text,
    ports: text,
    action: { enum: ['allow', 'deny'] },
    applications: texts,
    vhost: { type: 'boolean' },
  },
} as const;

const resource = {
  type: 'object',
  required: ['uid', 'kind', 'namespace', 'name', 'generation', 'mode', 'defaultAction', 'directions', 'rules'],
  properties: {
    uid: text,
    kind: text,
    namespace: text,
    name: text,
    generation: { type: 'integer' },
    mode: { enum: ['Discover', 'Monitor', 'Protect'] },
    defaultAction: { enum: ['allow', 'deny'] },
    directions: { type: 'array', items: { enum: ['egress', 'ingress'] } },
    rules: { type: 'array', items: rule },
  },
} as const;

const member = {
  type: 'object',
  required: ['ips', 'ports'],
  properties: { ips: { type: 'array', items: { type: 'string', format: 'ip' } }, ports: namedPorts },
} as const;

const ajv = new Ajv({ formats });

/** Each throws a SyntaxError or TypeError that says what is wrong with the text. */
export const parseWorkload = reader(ajv.compile<PublishedWorkload>(workload));
export const parseResource = reader(ajv.compile<PublishedResource>(resource));
export const parseMember = reader(ajv.compile<GroupMember>(member));

function reader<T>(validate: ValidateFunction<T>): (json: string) => T {
  return (json) => {
    const value: unknown = JSON.parse(json);
    if (validate(value)) return value;
    const [first] = validate.errors ?? [];
    throw new TypeError(`${first?.instancePath || 'the value'} ${first?.message}`);
  };
}
