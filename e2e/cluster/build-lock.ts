// One build at a time on this machine: the cache is shared by all work trees.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { poll } from '../lab/wait.ts';
import { CACHE } from './places.ts';
import type { Work } from './provider.ts';

const SAY_AFTER_MS = 500;
const WAIT_TIMEOUT_MS = 30 * 60_000;

/** Waits while another build goes on. The kernel frees the lock when this process ends, however it does. */
export async function whileLocked<T>({ say, signal }: Work, build: () => Promise<T>, file = join(CACHE, 'lock')) {
  await mkdir(dirname(file), { recursive: true });
  // Holds the lock for as long as its input is open, which is as long as this process lives.
  const holder = spawn('flock', [file, 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  let isLocked = false;
  holder.stdout.once('data', () => {
    isLocked = true;
  });
  const timer = setTimeout(() => say('another build is under way: waiting for its end'), SAY_AFTER_MS);
  try {
    if (!(await poll(async () => isLocked || undefined, { timeoutMs: WAIT_TIMEOUT_MS, signal })))
      throw new Error('another build has gone on for half an hour: see what it waits for');
    clearTimeout(timer);
    return await build();
  } finally {
    clearTimeout(timer);
    // While it still waits, closing its input would not end it.
    if (isLocked) holder.stdin.end();
    else holder.kill();
    await ended;
  }
}
