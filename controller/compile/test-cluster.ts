// Resources as manifests give them, and what they compile to: for tests.
import assert from 'node:assert/strict';
import { keys } from '../api/keyspace.ts';
import { parseManifest } from '../api/parse.ts';
import type { Resource } from '../api/resources.ts';
import { declare, NOTHING_UNREAD } from '../sources/declared.ts';
import { compile } from './compile.ts';
import { countGenerations } from './generations.ts';
import { takeInventory } from './inventory.ts';

export function resource(manifest: object): Resource {
  const parsed = parseManifest(manifest);
  assert.ok('resource' in parsed, JSON.stringify(parsed));
  return parsed.resource;
}

export const API = 'podwall.io/v1alpha1';
export const rule = (name: string, spec: object, namespace = 'shop') =>
  resource({
    apiVersion: API,
    kind: 'NetworkRule',
    metadata: { name, namespace, uid: name },
    spec: { selector: {}, ...spec },
  });
export const networkPolicy = (name: string, spec: object, where = 'shop') =>
  resource({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: where, uid: name },
    spec,
  });
export const clusterRule = (name: string, spec: object) =>
  resource({
    apiVersion: API,
    kind: 'ClusterNetworkRule',
    metadata: { name, uid: name },
    spec: { selector: {}, ...spec },
  });
export const pod = (
  name: string,
  labels: object,
  parts: { namespace?: string; node?: string; ips?: string[]; spec?: object; phase?: string; metadata?: object } = {},
) =>
  resource({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: parts.namespace ?? 'shop', uid: name, labels, ...parts.metadata },
    spec: { nodeName: parts.node ?? 'n1', ...parts.spec },
    status: { podIPs: (parts.ips ?? []).map((ip) => ({ ip })), ...(parts.phase ? { phase: parts.phase } : {}) },
  });
export const namespace = (name: string, labels: object) =>
  resource({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
export const node = (name: string, ...addresses: string[]) =>
  resource({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid: name },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  });

/** etcd’s entries. `reported`: pod uid → addresses that its agent saw. */
export function compiled(resources: Resource[], reported: Record<string, string[]> = {}) {
  const { rules, pods, namespaces, nodes } = declare(resources, [], NOTHING_UNREAD);
  const generations = countGenerations(rules, new Map());
  return compile(rules, generations, takeInventory(pods, namespaces, nodes, new Map(Object.entries(reported)))).entries;
}

/** The value of a key; null where there is none. */
export const at = (entries: ReadonlyMap<string, string>, key: string) => JSON.parse(entries.get(key) ?? 'null');

/** The names of the members of each group, by its hash. */
export function groupsIn(entries: ReadonlyMap<string, string>): Map<string, string[]> {
  const members = [...entries.keys()].filter((key) => key.startsWith(keys.groupsPrefix));
  const byHash = Map.groupBy(members, (key) => key.split('/').at(-2) ?? '');
  return new Map([...byHash].map(([hash, all]) => [hash, all.map((key) => key.split('/').at(-1) ?? '').sort()]));
}
