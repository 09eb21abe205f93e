// How many threats there were since the agent started, by their severity: those of resources that are gone too.
import type { Threat } from '@podwall/controller/api/keyspace.ts';

export type Severity = Threat['severity'];
export const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical'] as const satisfies readonly Severity[];

const none = (): Record<Severity, number> => ({ info: 0, low: 0, medium: 0, high: 0, critical: 0 });

export class ThreatTotals {
  readonly reports: Record<Severity, number> = none();
  /** Those that the reports stand for. */
  readonly packets: Record<Severity, number> = none();

  add({ severity, count }: Threat): void {
    this.reports[severity] += 1;
    this.packets[severity] += count;
  }
}
