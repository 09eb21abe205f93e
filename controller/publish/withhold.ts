// What etcd is to hold while not all manifests could be read: nothing that is in force is taken away.
import { keys, type PublishedResource, type PublishedWorkload } from '../api/keyspace.ts';
import { readPublishedResource, readPublishedWorkload } from '../api/stored.ts';
import { byPrecedence } from '../compile/rules.ts';
import type { Unread } from '../sources/declared.ts';
import { isPublished } from './plan.ts';

const GROUP = 'nv.group.';

type Held = ReadonlyMap<string, { readonly value: string }>;

/**
 * What is desired, and besides it what is held of resources that could not be read: their rules, the groups that only they
 * name, and in each workload that they are for it. Where it is unknown which these are, all that is held.
 */
export function withholdRemovals(
  desired: ReadonlyMap<string, string>,
  held: Held,
  unread: Unread,
): Map<string, string> {
  const isUnread = (uid: string): boolean => unread === 'unknown' || unread.has(uid);
  if (unread !== 'unknown' && unread.size === 0) return new Map(desired);
  const kept = new Map([...heldOf(unread, held, desired)].map(([key, { value }]) => [key, value]));
  const all = new Map([...kept, ...desired]);
  for (const [key, value] of desired) {
    const before = held.get(key)?.value;
    if (!key.startsWith(keys.nodesPrefix) || before === undefined || before === value) continue;
    const now = readPublishedWorkload(value);
    const then = readPublishedWorkload(before);
    if (now && then) all.set(key, JSON.stringify(withResources(now, then.resources.filter(isUnread), all)));
  }
  return all;
}

function heldOf(unread: Unread, held: Held, desired: ReadonlyMap<string, string>): Held {
  if (unread === 'unknown') return new Map([...held].filter(([key]) => isPublished(key)));
  const rules = [...unread].map((uid) => keys.rules(uid)).filter((key) => held.has(key));
  const compiled = new Set([...desired.keys()].filter((key) => key.startsWith(keys.groupsPrefix)).map(groupOf));
  const named = new Set(rules.flatMap((key) => groupsNamed(held.get(key)?.value ?? '')));
  return new Map(
    [...held].filter(([key]) => {
      if (!key.startsWith(keys.groupsPrefix)) return rules.includes(key);
      return named.has(groupOf(key)) && !compiled.has(groupOf(key));
    }),
  );
}

/** The hash in a group member's key. */
const groupOf = (key: string): string => key.slice(keys.groupsPrefix.length, key.lastIndexOf('/'));

function groupsNamed(value: string): string[] {
  const peers = readPublishedResource(value)?.rules.flatMap(({ from, to }) => [from, to]) ?? [];
  return peers.filter((peer) => peer.startsWith(GROUP)).map((peer) => peer.slice(GROUP.length));
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
