// What to write so that etcd holds what is desired: the differences only, in an order that never names what is not there.
import { keys } from '../api/keyspace.ts';
import type { Operation } from '../etcd/session.ts';

/** etcd takes 128 operations and 1.5 MiB a transaction unless told otherwise. */
const MAX_OPERATIONS = 100;
const MAX_BYTES = 1024 * 1024;

const OWNED = [keys.groupsPrefix, keys.rulesPrefix, keys.nodesPrefix] as const;

/** Whether the controller alone writes the key. */
export const isPublished = (key: string): boolean => OWNED.some((prefix) => key.startsWith(prefix));

/**
 * Batches, each to be written as one transaction, in this order: groups, rules, the workloads that name them; then
 * deletions the other way round.
 */
export function planWrites(
  desired: ReadonlyMap<string, string>,
  held: ReadonlyMap<string, { readonly value: string }>,
): Operation[][] {
  const puts: Operation[] = [...desired]
    .filter(([key, value]) => held.get(key)?.value !== value)
    .map(([key, value]) => ({ kind: 'put', key, value }));
  const deletions: Operation[] = [...held.keys()]
    .filter((key) => isPublished(key) && !desired.has(key))
    .map((key) => ({ kind: 'delete', key }));
  return batches([...puts.sort(byRank), ...deletions.sort((a, b) => byRank(b, a))]);
}

const rank = ({ key }: Operation): number => OWNED.findIndex((prefix) => key.startsWith(prefix));
const byRank = (a: Operation, b: Operation): number => rank(a) - rank(b);

function batches(operations: readonly Operation[]): Operation[][] {
  const all: Operation[][] = [];
  let bytes = 0;
  for (const operation of operations) {
    const size = operation.key.length + (operation.kind === 'put' ? Buffer.byteLength(operation.value) : 0);
    const last = all.at(-1);
    if (last && last.length < MAX_OPERATIONS && bytes + size <= MAX_BYTES) {
      last.push(operation);
      bytes += size;
    } else {
      all.push([operation]);
      bytes = size;
    }
  }
  return all;
}
