// For tests: nothing of a lab stays, also where the process that made it was ended by a signal.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** Of labs, and of a harness's tables: what it is, and the process that made it. */
const OURS = /^podwall-(?:dptest|test)-(\d+)(?:-|$)/;
const BPFFS = '/sys/fs/bpf';
const NAMESPACES = '/run/netns';

const open = new Set<AsyncDisposable>();
let isPrepared = false;

/** Has this go before a signal ends the process, unless somebody else sees to it; the first call removes what others have left. */
export function removeAtEnd(lab: AsyncDisposable): void {
  open.add(lab);
  if (isPrepared) return;
  isPrepared = true;
  removeAbandoned();
  for (const signal of SIGNALS) if (process.listenerCount(signal) === 0) process.once(signal, () => end(signal));
}

/** To be called by one that is disposed of. */
export const forget = (lab: AsyncDisposable): boolean => open.delete(lab);

async function end(signal: NodeJS.Signals): Promise<void> {
  try {
    for (const lab of open) await lab[Symbol.asyncDispose]();
  } finally {
    process.kill(process.pid, signal);
  }
}

/** Removes what processes have left that are there no more; several may do so at once. */
export function removeAbandoned(): void {
  for (const name of abandonedIn(BPFFS)) rmSync(`${BPFFS}/${name}`, { recursive: true, force: true });
  for (const name of abandonedIn(NAMESPACES)) spawnSync('ip', ['netns', 'delete', name]);
  for (const name of abandonedIn(tmpdir())) rmSync(`${tmpdir()}/${name}`, { recursive: true, force: true });
}

function abandonedIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter((name) => {
    const [, maker] = OURS.exec(name) ?? [];
    return maker !== undefined && !existsSync(`/proc/${maker}`);
  });
}
