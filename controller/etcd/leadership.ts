// Which of several controllers may write to etcd: the one with the highest term, for as long as its own etcd lease lives.
import { keys } from '../api/keyspace.ts';
import type { Claim } from './session.ts';

/** `term` rises whenever the leader changes. */
export type Leadership = { readonly holder: string; readonly term: number };

/** How long the claim of a leader that hangs is in the way of nobody: another has a higher term. */
const TTL_SECONDS = 10;

/** To write as this leader; a later one's claim is never replaced. */
export function claimOf({ holder, term }: Leadership): Claim {
  const value = JSON.stringify({ holder, term });
  return {
    guard: { key: keys.leader, value },
    ttlSeconds: TTL_SECONDS,
    mayReplace: (found) => found === value || termOf(found) < term,
  };
}

/** What is no claim is lower than any. */
function termOf(value: string): number {
  try {
    const { term } = JSON.parse(value) as { readonly term?: unknown }; // any JSON; what is read of it is checked
    return typeof term === 'number' ? term : -1;
  } catch {
    return -1;
  }
}
