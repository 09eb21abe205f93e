// What a run of the controller is given, whatever its source.
import type { EtcdOptions } from './etcd/session.ts';
import type { Logger } from './log.ts';

export type Run = { readonly etcd: EtcdOptions; readonly log: Logger; readonly stop: AbortSignal };

export async function untilStopped(stop: AbortSignal): Promise<void> {
  if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
}
