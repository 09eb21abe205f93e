// Signals to processes that may have ended in the meantime.

/** `pid` may be negative: a process group. Does nothing where nothing of it is left. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  attempt(pid, signal);
}

export const isRunning = (pid: number): boolean => attempt(pid, 0);

/** false where there is no such process. */
function attempt(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}
