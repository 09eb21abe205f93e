// Reads one manifest: finds its kind, validates it by that kind's schema and checks, and says in words what is wrong.
import { Ajv, type ErrorObject } from 'ajv';
import { type NamespaceManifest, type NodeManifest, namespace, node, type PodManifest, pod } from './cluster.ts';
import { FORMAT_WORDS, formats } from './formats.ts';
import { NETWORK_POLICY_API_VERSION, type NetworkPolicy, networkPolicy } from './network-policy.ts';
import { checkNetworkPolicy } from './network-policy-checks.ts';
import {
  API_VERSION,
  type ClusterNetworkRule,
  clusterNetworkRule,
  GROUP,
  type NetworkRule,
  networkRule,
} from './network-rule.ts';
import { printable } from './printable.ts';
import {
  DEFAULT_NAMESPACE,
  describe,
  type Resource,
  type ResourceId,
  toClusterNetworkRule,
  toNamespace,
  toNetworkPolicy,
  toNetworkRule,
  toNode,
  toPod,
} from './resources.ts';
import { checkRule } from './rule-checks.ts';
import type { Fault } from './selector-checks.ts';

/** Why a manifest is refused; `resource` is undefined where it does not even say what it is. */
export type Refusal = { readonly resource: ResourceId | undefined; readonly message: string };
export type Parsed = { readonly resource: Resource } | { readonly refusals: readonly Refusal[] };

const ajv = new Ajv({
  allErrors: true,
  strict: true,
  useDefaults: true,
  verbose: true,
  allowUnionTypes: true,
  formats,
});
/** As the schemas have it: others are not fit for messages, nor for names of files. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const KIND = /^[A-Za-z]{1,63}$/;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

type Reader = (manifest: unknown) => Resource | Fault[];
const kinds = new Map<string, Reader>([
  [`${API_VERSION} NetworkRule`, reader<NetworkRule>(networkRule, toNetworkRule)],
  [`${API_VERSION} ClusterNetworkRule`, reader<ClusterNetworkRule>(clusterNetworkRule, toClusterNetworkRule)],
  [`${NETWORK_POLICY_API_VERSION} NetworkPolicy`, withoutNulls(reader<NetworkPolicy>(networkPolicy, toNetworkPolicy))],
  ['v1 Pod', withoutNulls(reader<PodManifest>(pod, toPod))],
  ['v1 Namespace', withoutNulls(reader<NamespaceManifest>(namespace, toNamespace))],
  ['v1 Node', withoutNulls(reader<NodeManifest>(node, toNode))],
]);
/** Also that of NetworkPolicies long ago. */
const UPSTREAM_GROUPS = ['', 'networking.k8s.io', 'extensions'];
const clusterKinds = ['ClusterNetworkRule', 'Namespace', 'Node'];

function reader<Manifest>(schema: object, toResource: (manifest: Manifest) => Resource): Reader {
  const validate = ajv.compile<Manifest>(schema);
  return (manifest) => {
    if (!validate(manifest)) return (validate.errors ?? []).map(explain);
    const resource = toResource(manifest);
    const faults = faultsOf(resource);
    return faults.length > 0 ? faults : resource;
  };
}

function faultsOf(resource: Resource): Fault[] {
  if (resource.kind === 'NetworkPolicy') return checkNetworkPolicy(resource.spec);
  return 'spec' in resource ? checkRule(resource) : [];
}

/** To the API server a member that is null is one that is absent; the manifest itself stays as it is. */
function withoutNulls(read: Reader): Reader {
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (!isObject(value)) return value;
    const present = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
    return Object.fromEntries(present.map(([key, member]) => [key, strip(member)]));
  };
  return (manifest) => read(strip(manifest));
}

/** The manifests of a List, or the one that it is. */
export function unwrapList(manifest: unknown): readonly unknown[] {
  const isList = isObject(manifest) && manifest.kind === 'List' && manifest.apiVersion === 'v1';
  return isList && Array.isArray(manifest.items) ? manifest.items : [manifest];
}

/**
 * Whether a manifest means to be something that is read here, also in a version that is not: of the other kinds that
 * people keep in a folder, and of others' kinds of the same name, nothing is to be said.
 */
export function isOfConcern(manifest: unknown): boolean {
  if (!isObject(manifest) || typeof manifest.apiVersion !== 'string') return false;
  const [group = ''] = manifest.apiVersion.includes('/') ? manifest.apiVersion.split('/') : [''];
  const names = [...kinds.keys()].map((kind) => kind.split(' ')[1]);
  return group === GROUP || (UPSTREAM_GROUPS.includes(group) && names.includes(String(manifest.kind)));
}

/** Fills in defaults within the manifest. */
export function parseManifest(manifest: unknown): Parsed {
  if (!isObject(manifest))
    return refused(undefined, [`${shown(manifest)} is no resource: it needs apiVersion and kind`]);
  const id = identify(manifest);
  const read = kinds.get(`${manifest.apiVersion} ${manifest.kind}`);
  if (!read) {
    const known = `known are ${[...kinds.keys()].join(', ')} and v1 List`;
    return refused(id, [
      `apiVersion ${shown(manifest.apiVersion)} with kind ${shown(manifest.kind)} is not known; ${known}`,
    ]);
  }
  const resource = read(manifest);
  if (!Array.isArray(resource)) return { resource };
  return refused(
    id,
    resource.map(({ path, message }) => `${printable(path)}: ${message}`),
  );
}

function refused(resource: ResourceId | undefined, messages: readonly string[]): Parsed {
  const prefix = resource ? `${describe(resource)}: ` : '';
  return { refusals: messages.map((message) => ({ resource, message: prefix + message })) };
}

/** Which resource a manifest means to be, however wrong the rest of it is. */
function identify({ kind, metadata }: Readonly<Record<string, unknown>>): ResourceId | undefined {
  if (typeof kind !== 'string' || !KIND.test(kind) || !isObject(metadata)) return undefined;
  const { name, namespace: named, uid } = metadata;
  const namespace = typeof named === 'string' ? named : DEFAULT_NAMESPACE;
  if (typeof name !== 'string' || !NAME.test(name) || !NAMESPACE.test(namespace)) return undefined;
  const known = typeof uid === 'string' ? { uid } : {};
  return { kind, namespace: clusterKinds.includes(kind) ? '' : namespace, name, ...known };
}

function explain({ instancePath, keyword, params, message, data, parentSchema }: ErrorObject): Fault {
  const path =
    instancePath
      .replace(/\/(\d+)(?=\/|$)/g, '[$1]')
      .replaceAll('/', '.')
      .replace(/^\./, '') || 'manifest';
  switch (keyword) {
    case 'format':
      return { path, message: `${shown(data)} is not ${FORMAT_WORDS[String(params.format)] ?? params.format}` };
    case 'enum':
      return { path, message: `${shown(data)} is not one of ${params.allowedValues.join(', ')}` };
    case 'required':
      return { path, message: `${params.missingProperty} is missing` };
    case 'additionalProperties': {
      const known = Object.keys(parentSchema?.properties ?? {}).join(', ');
      return { path, message: `${shown(params.additionalProperty)} is no field of it; known are ${known}` };
    }
    case 'minProperties':
      return { path, message: `is empty; known are ${Object.keys(parentSchema?.properties ?? {}).join(', ')}` };
    case 'type':
      return { path, message: `${shown(data)} is not of type ${params.type}` };
    case 'pattern':
      return { path, message: `${shown(data)} is not allowed: it must match ${params.pattern}` };
    default:
      return { path, message: `${shown(data)} ${message ?? keyword}` };
  }
}

const shown = (value: unknown): string => printable(JSON.stringify(value) ?? String(value));

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
