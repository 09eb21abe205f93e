// The addresses of workloads as their agents see them, kept while an agent is away: its absence takes no peer away.
import { canonicalAddress, isLocal, parseAddress } from '../addresses/range.ts';
import type { WorkloadReport } from '../api/keyspace.ts';

export type SeenAddresses = {
  readonly node: string;
  readonly ips: readonly string[];
  /** Whether the report that said so is still there. */
  readonly isReported: boolean;
};

/** What no peer can be found by, one link's or one host's own, is left out. */
export function reportedAddresses(node: string, { ips }: WorkloadReport): SeenAddresses {
  const usable = ips.filter((ip) => parseAddress(ip) !== undefined && !isLocal(ip)).map(canonicalAddress);
  return { node, ips: [...new Set(usable)], isReported: true };
}

/**
 * After a workload's report went. Its agent takes a report back when the workload has gone; reports that go together
 * with their agent's own say nothing of the workload.
 */
export const withoutReport = (seen: SeenAddresses, agentStayed: boolean): SeenAddresses | undefined =>
  agentStayed ? undefined : { ...seen, isReported: false };
