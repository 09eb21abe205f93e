// The CustomResourceDefinitions: from the schemas of the resources, with CEL where a schema can't say it. Pure.
// Source: apiextensions.k8s.io/v1 (structural schemas: no additionalProperties beside properties, no const).
import { FORMAT_WORDS } from './formats.ts';
import { clusterNetworkRuleSpec, GROUP, networkRuleSpec, VERSION } from './network-rule.ts';

type Schema = { readonly [keyword: string]: unknown };
type Validation = { readonly rule: string; readonly message: string };

/** What the API server needs to bound the cost of CEL. */
const MAX_RULES = 400;
const MAX_PEERS = 50;
const MAX_PORTS = 50;
const MAX_EXPRESSIONS = 16;

const cel = (rule: string, message: string): Validation => ({ rule, message });

const NUMBER = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'; // up to 65535
const LABEL = '[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?';
const ENDS = "self.split('/')[1].split('-')";

/**
 * Our own formats, in what the API server knows. Whether a range's ends are in order, and networks inside of others, costs
 * more than it allows for lists of this size: the controller says so in the status.
 */
const FORMATS: Readonly<Record<string, Schema>> = {
  ip: { maxLength: 45, ...validated(cel('isIP(self)', wordsOf('ip'))) },
  cidr: { maxLength: 49, pattern: '^[0-9A-Fa-f:.]+/[0-9]{1,3}$' },
  'ip-range': { maxLength: 91, pattern: '^[0-9A-Fa-f:.]+-[0-9A-Fa-f:.]+$' },
  port: {
    maxLength: 63,
    pattern: `^([a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?|(tcp|udp)/${NUMBER}(-${NUMBER})?)$`,
    ...validated(
      cel(
        `!self.contains('/') || !self.contains('-') || int(${ENDS}[0]) <= int(${ENDS}[1])`,
        'the range of ports is reversed: put the lower port first',
      ),
    ),
  },
  'fqdn-pattern': { maxLength: 255, pattern: `^(\\*\\.)?(${LABEL}\\.)*${LABEL}\\.?$` },
};

const PEER_KINDS =
  '[has(self.ip), has(self.ipRange), has(self.cidr), has(self.fqdn), has(self.node), has(self.any), has(self.podSelector) || has(self.namespaceSelector)]';

/** What a peer's fields have to do with each other. That fqdn is for egress only, the controller says in the status. */
const PEER: readonly Validation[] = [
  cel(
    `${PEER_KINDS}.filter(is, is).size() == 1`,
    'use one kind of peer an entry: ip, ipRange, cidr, fqdn, node, any, or podSelector and namespaceSelector; and several entries for several',
  ),
  cel('!has(self.vhost) || has(self.fqdn)', 'vhost needs fqdn beside it'),
  cel('!has(self.except) || has(self.cidr)', 'except needs cidr beside it'),
  cel('!has(self.cidr) || isCIDR(self.cidr)', wordsOf('cidr')),
];

const EXPRESSION: readonly Validation[] = [
  cel(
    "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",
    'In and NotIn need values, Exists and DoesNotExist take none',
  ),
];

export type Definition = {
  readonly kind: string;
  readonly plural: string;
  readonly spec: Schema;
  readonly isNamespaced: boolean;
};

export const DEFINITIONS: readonly Definition[] = [
  { kind: 'NetworkRule', plural: 'networkrules', spec: networkRuleSpec, isNamespaced: true },
  { kind: 'ClusterNetworkRule', plural: 'clusternetworkrules', spec: clusterNetworkRuleSpec, isNamespaced: false },
];

/** What `kubectl get` shows; those of priority 1 only with -o wide. */
const COLUMNS = [
  { name: 'Mode', type: 'string', jsonPath: '.spec.mode', priority: 0 },
  { name: 'Workloads', type: 'string', jsonPath: '.status.summary.workloads', priority: 0 },
  { name: 'Nodes', type: 'string', jsonPath: '.status.summary.nodes', priority: 1 },
  { name: 'Accepted', type: 'string', jsonPath: ".status.conditions[?(@.type=='Accepted')].status", priority: 0 },
  { name: 'Programmed', type: 'string', jsonPath: ".status.conditions[?(@.type=='Programmed')].status", priority: 0 },
  { name: 'Hits', type: 'integer', jsonPath: '.status.summary.hits', priority: 1 },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', priority: 0 },
];

export function customResourceDefinition({ kind, plural, spec, isNamespaced }: Definition): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: isNamespaced ? 'Namespaced' : 'Cluster',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List`, categories: ['podwall'] },
      versions: [
        {
          ...{ name: VERSION, served: true, storage: true, subresources: { status: {} } },
          additionalPrinterColumns: COLUMNS,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: ruleSpec(structural(spec)),
                status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
              },
            },
          },
        },
      ],
    },
  };
}

/** Bounds and CEL that only the whole spec has. */
function ruleSpec(spec: Schema): Schema {
  const properties = Object.entries(propertiesOf(spec)).map(([name, schema]) => {
    if (name !== 'egress' && name !== 'ingress') return [name, schema];
    const names = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] };
    return [name, { ...schema, maxItems: MAX_RULES, ...names }];
  });
  return { ...spec, properties: Object.fromEntries(properties) };
}

/** The same schema as the API server takes it. */
function structural(schema: Schema, name = ''): Schema {
  const { additionalProperties, const: only, format, properties, items, ...rest } = schema;
  return {
    ...rest,
    ...(typeof format === 'string' ? FORMATS[format] : {}),
    ...(only === undefined ? {} : { enum: [only] }),
    ...(isSchema(additionalProperties) ? { additionalProperties: structural(additionalProperties) } : {}),
    ...(isSchema(properties) ? { properties: mapped(propertiesOf(schema)) } : {}),
    ...(isSchema(items) ? { items: structural(items) } : {}),
    ...(BOUNDS[name] ?? {}),
    ...validationsOf(schema),
  };
}

const mapped = (properties: Readonly<Record<string, Schema>>): Schema =>
  Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, structural(schema, name)]));

const BOUNDS: Readonly<Record<string, Schema>> = {
  to: { maxItems: MAX_PEERS },
  from: { maxItems: MAX_PEERS },
  ports: { maxItems: MAX_PORTS },
  matchExpressions: { maxItems: MAX_EXPRESSIONS },
};

/** By the members that only these schemas have. */
function validationsOf(schema: Schema): Schema {
  const properties = propertiesOf(schema);
  if ('fqdn' in properties) return validated(...PEER);
  return 'operator' in properties ? validated(...EXPRESSION) : {};
}

function propertiesOf({ properties }: Schema): Readonly<Record<string, Schema>> {
  return isSchema(properties) ? Object.fromEntries(Object.entries(properties).filter(isNamedSchema)) : {};
}

const isNamedSchema = (entry: [string, unknown]): entry is [string, Schema] => isSchema(entry[1]);
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

function validated(...validations: readonly Validation[]): Schema {
  return { 'x-kubernetes-validations': validations };
}

function wordsOf(format: string): string {
  return `it is not ${FORMAT_WORDS[format]}`;
}
