// Adds up how often each rule decided: dp counts from when a policy came into force, the totals go on over policies.
import { DEFAULT_RULE, type HitsReport } from '@podwall/controller/api/keyspace.ts';
import type { RuleHits } from '@podwall/dp/protocol/reports.ts';
import type { ComputedPolicy, RuleName } from '../policy/policy.ts';

/** Of one workload; dp may still report of a policy that is no longer in force. */
const KEPT_REVISIONS = 8;

type Total = { hits: number; lastHit: string };

export class HitTotals {
  /** Resource uid → rule name → total. */
  readonly #totals = new Map<string, Map<string, Total>>();
  /** MAC → epoch → rule id → what dp said last. */
  readonly #counted = new Map<string, Map<number, Map<number, bigint>>>();

  /** Goes on from what an earlier run of this agent reported. */
  takeOver({ uid, rules }: HitsReport): void {
    for (const [rule, { hits, lastHit }] of Object.entries(rules)) this.#add({ uid, rule }, hits, lastHit);
  }

  /** A policy came into force, and dp counts from 0. */
  begin(mac: string, epoch: number): void {
    const counted = this.#counted.get(mac) ?? new Map<number, Map<number, bigint>>();
    counted.delete(epoch);
    counted.set(epoch, new Map());
    for (const old of [...counted.keys()].slice(0, -KEPT_REVISIONS)) counted.delete(old);
    this.#counted.set(mac, counted);
  }

  /** Answers the uids of the resources whose totals rose. */
  count(mac: string, epoch: number, rules: readonly RuleHits[], { ruleNames, defaultOf }: ComputedPolicy): Set<string> {
    const counted = this.#counted.get(mac)?.get(epoch);
    const risen = new Set<string>();
    for (const { ruleId, hits, lastHitAt } of counted ? rules : []) {
      const before = counted?.get(ruleId) ?? 0n;
      counted?.set(ruleId, hits);
      const name = ruleNames.get(ruleId) ?? defaultName(ruleId, defaultOf);
      const added = hits > before ? hits - before : 0n;
      if (!name || added === 0n) continue;
      this.#add(name, Number(added), new Date(lastHitAt * 1000).toISOString());
      risen.add(name.uid);
    }
    return risen;
  }

  report(uid: string): HitsReport {
    return { uid, rules: Object.fromEntries(this.#totals.get(uid) ?? []) };
  }

  uids(): readonly string[] {
    return [...this.#totals.keys()];
  }

  /** The resource is gone. */
  remove(uid: string): void {
    this.#totals.delete(uid);
  }

  /** The workload is gone. */
  forget(mac: string): void {
    this.#counted.delete(mac);
  }

  #add({ uid, rule }: RuleName, hits: number, lastHit: string): void {
    const ofResource = this.#totals.get(uid) ?? new Map<string, Total>();
    const before = ofResource.get(rule);
    const isLater = !before || lastHit > before.lastHit; // RFC 3339 in UTC sorts as text
    ofResource.set(rule, { hits: (before?.hits ?? 0) + hits, lastHit: isLater ? lastHit : before.lastHit });
    this.#totals.set(uid, ofResource);
  }
}

/** Where the directions' default actions come from two resources, ingress has rules of its own for it. */
function defaultName(ruleId: number, { egress, ingress }: ComputedPolicy['defaultOf']): RuleName | undefined {
  const uid = egress ?? ingress;
  return ruleId === 0 && uid !== undefined ? { uid, rule: DEFAULT_RULE } : undefined;
}
