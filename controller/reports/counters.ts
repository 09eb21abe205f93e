// Sums what agents count, over nodes and over restarts of an agent, at which its counters begin at 0 again.
import type { HitsReport, ThreatCounts, ThreatsReport } from '../api/keyspace.ts';

export type Hits = { readonly hits: number; readonly lastHit: string };

/** What one node counted: `earlier` before its agent's last restart, `last` since. */
export type NodeHits = { readonly earlier: Readonly<Record<string, number>>; readonly last: HitsReport };
export type NodeThreats = { readonly earlier: ThreatCounts; readonly last: ThreatsReport };

export const NO_THREATS: ThreatCounts = { packets: 0, reports: 0 };

/** A counter below what it was has begun anew. */
export function addHits(before: NodeHits | undefined, report: HitsReport): NodeHits {
  if (!before) return { earlier: {}, last: report };
  const names = Object.keys({ ...before.earlier, ...before.last.rules });
  const earlier = names.map((name) => {
    const was = before.last.rules[name]?.hits ?? 0;
    const isRestarted = (report.rules[name]?.hits ?? 0) < was;
    return [name, (before.earlier[name] ?? 0) + (isRestarted ? was : 0)] as const;
  });
  return { earlier: Object.fromEntries(earlier), last: report };
}

export function addThreats(before: NodeThreats | undefined, report: ThreatsReport): NodeThreats {
  if (!before) return { earlier: NO_THREATS, last: report };
  const isRestarted = report.reports < before.last.reports;
  return { earlier: isRestarted ? addCounts(before.earlier, before.last) : before.earlier, last: report };
}

export const addCounts = (a: ThreatCounts, b: ThreatCounts): ThreatCounts => ({
  packets: a.packets + b.packets,
  reports: a.reports + b.reports,
});

/** Rule name → hits on all nodes, with the latest time of any. */
export function sumHits(nodes: Iterable<NodeHits>): Map<string, Hits> {
  const sums = new Map<string, Hits>();
  const add = (name: string, hits: number, lastHit: string): void => {
    const sum = sums.get(name) ?? { hits: 0, lastHit: '' };
    sums.set(name, { hits: sum.hits + hits, lastHit: lastHit > sum.lastHit ? lastHit : sum.lastHit });
  };
  for (const { earlier, last } of nodes) {
    for (const [name, hits] of Object.entries(earlier)) add(name, hits, '');
    for (const [name, { hits, lastHit }] of Object.entries(last.rules)) add(name, hits, lastHit);
  }
  return sums;
}
