// Reads the rules' hit counters out of the kernel and reports those that changed.
import type { Datapath } from '../kernel/datapath.ts';
import type { Workloads } from '../policy/workloads.ts';
import type { Report, RuleHits } from '../protocol/reports.ts';
import { unixSeconds } from './clock.ts';

/** Of one report: 16 bytes each stay far below a datagram's end. */
const RULES_PER_REPORT = 1000;

type Group = { readonly mac: string; readonly revision: number; readonly rules: RuleHits[] };

export class HitCounters {
  readonly #datapath: Datapath;
  readonly #workloads: Workloads;
  /** Endpoint, revision and rule → what was last reported. */
  readonly #reported = new Map<string, bigint>();

  constructor(datapath: Datapath, workloads: Workloads) {
    this.#datapath = datapath;
    this.#workloads = workloads;
  }

  /** Reports were lost, and hits may have been among them: all are told again. */
  forgetReported(): void {
    this.#reported.clear();
  }

  /**
   * What changed since the last time, at most so many policies of it; `isAll` says whether that was all. Counters of a
   * policy that is no longer in force are reported once more, then removed. Only to be called once the agent has what
   * the last call told, which would else go with this process.
   */
  collect(most = Number.POSITIVE_INFINITY): { readonly reports: readonly Report[]; readonly isAll: boolean } {
    const groups = new Map<string, Group>();
    const byId = new Map(this.#workloads.all().map((workload) => [workload.state.id, workload]));
    let isAll = true;
    for (const [key, { hits, lastNs }] of this.#datapath.hits.entries()) {
      const workload = byId.get(key.endpoint);
      const name = `${key.endpoint}/${key.revision}`;
      const counter = `${name}/${key.ruleId}`;
      const isNews = this.#reported.get(counter) !== hits;
      if (isNews && workload && groups.size >= most && !groups.has(name)) {
        isAll = false;
      } else if (isNews && workload) {
        const group = groups.get(name) ?? { mac: workload.mac, revision: key.revision, rules: [] };
        groups.set(name, group);
        group.rules.push({ ruleId: key.ruleId, lastHitAt: unixSeconds(lastNs), hits });
        this.#reported.set(counter, hits);
      } else if (workload?.state.revision !== key.revision) {
        this.#datapath.hits.delete(key);
        this.#reported.delete(counter);
      }
    }
    return { reports: [...groups.values()].flatMap(cut), isAll };
  }
}

function cut({ mac, revision, rules }: Group): Report[] {
  const reports: Report[] = [];
  for (let at = 0; at < rules.length; at += RULES_PER_REPORT)
    reports.push({ kind: 'ruleHits', mac, revision, rules: rules.slice(at, at + RULES_PER_REPORT) });
  return reports;
}
