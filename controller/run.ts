// What a run of the controller is given, whatever its source.
import type { MetricsAddress } from '@podwall/metrics/address.ts';
import type { EtcdOptions } from './etcd/session.ts';
import type { Logger } from './log.ts';

export type Run = {
  readonly etcd: EtcdOptions;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: MetricsAddress | undefined;
  readonly log: Logger;
  readonly stop: AbortSignal;
};

export async function untilStopped(stop: AbortSignal): Promise<void> {
  if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
}
