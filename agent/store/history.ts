// Tells whether etcd is still the store that it was when it was last seen. Pure.
import type { History } from './session.ts';

/**
 * A wiped etcd may have the cluster id of before (it comes from the members' addresses), but begins to count anew. If it
 * has been refilled beyond where it was, then the keys in it were created anew: see Replica.isRewritten.
 */
export function isAnotherHistory(before: History, now: History): boolean {
  return now.clusterId !== before.clusterId || now.revision < before.revision || now.term < before.term;
}
