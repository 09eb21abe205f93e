// What etcd is to hold while not all manifests could be read: nothing that is in force is taken away.
import { keys, type PublishedResource, type PublishedWorkload } from '../api/keyspace.ts';
import { readPublishedResource, readPublishedWorkload } from '../api/stored.ts';
import { byPrecedence } from '../compile/rules.ts';
import { isPublished } from './plan.ts';

type Held = ReadonlyMap<string, { readonly value: string }>;

/** What is desired, and besides it all that is held: also each workload keeps the resources that it has. */
export function withholdRemovals(desired: ReadonlyMap<string, string>, held: Held): Map<string, string> {
  const kept = new Map([...held].filter(([key]) => isPublished(key)).map(([key, { value }]) => [key, value]));
  const all = new Map([...kept, ...desired]);
  for (const [key, value] of desired) {
    const before = kept.get(key);
    if (!key.startsWith(keys.nodesPrefix) || before === undefined || before === value) continue;
    const now = readPublishedWorkload(value);
    const then = readPublishedWorkload(before);
    if (now && then) all.set(key, JSON.stringify(withResources(now, then.resources, all)));
  }
  return all;
}

function withResources(
  workload: PublishedWorkload,
  uids: readonly string[],
  entries: ReadonlyMap<string, string>,
): PublishedWorkload {
  const resources = [...new Set([...workload.resources, ...uids])]
    .map((uid) => readPublishedResource(entries.get(keys.rules(uid)) ?? ''))
    .filter((resource): resource is PublishedResource => resource !== undefined)
    .sort(byPrecedence);
  return { ...workload, resources: resources.map(({ uid }) => uid) };
}
