// Waits until something holds, for a bounded time.
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from './failure.ts';

export type WaitOptions = {
  readonly timeoutMs: number;
  readonly everyMs?: number;
  readonly signal?: AbortSignal | undefined;
};

const DEFAULT_EVERY_MS = 50;

/** The first value that is not undefined; undefined if there is none in time. */
export async function poll<T>(attempt: () => Promise<T | undefined>, options: WaitOptions): Promise<T | undefined> {
  const { timeoutMs, everyMs = DEFAULT_EVERY_MS, signal } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const value = await attempt();
    if (value !== undefined || performance.now() >= deadline) return value;
    // Woken early by the signal, the next round throws its reason: the one that sleep throws would hide it.
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/** As `poll`, and throws LabError TimedOut with `what` where nothing came in time. */
export async function waitFor<T>(
  what: string,
  attempt: () => Promise<T | undefined>,
  options: WaitOptions,
): Promise<T> {
  const value = await poll(attempt, options);
  if (value === undefined) throw new LabError('TimedOut', `waited ${options.timeoutMs / 1000} s in vain for ${what}`);
  return value;
}
