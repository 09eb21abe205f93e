// Work inside another network namespace, on the thread that asks for it.
import { closeSync, constants, openSync } from 'node:fs';
import { KernelError } from './libbpf.ts';
import { setns } from './libc.ts';

const CLONE_NEWNET = 0x40000000;
const OWN = '/proc/thread-self/ns/net';

/** No such network namespace, or dp may not enter it; says what to do. */
export class NamespaceError extends Error {
  readonly code = 'NAMESPACE';
}

/** `path`: as /run/netns/NAME or /proc/PID/ns/net. Does not wait, whatever is there. */
function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new NamespaceError(`no network namespace ${path} (${error.code})`);
  }
}

function enter(path: string, fd: number): void {
  try {
    setns(fd, CLONE_NEWNET);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.code === 'EPERM')
      throw new NamespaceError(`network namespace ${path}: dp may not enter it: it needs CAP_SYS_ADMIN for that`);
    throw new NamespaceError(`${path} is no network namespace (${error.code})`);
  }
}

/**
 * Runs `work` in a network namespace and comes back. `work` must not wait for anything: only this thread is there.
 * Throws NamespaceError. That it can't come back is thrown as an Error of its own: dp must not go on elsewhere.
 */
export function inNamespace<T>(path: string, work: () => T): T {
  const own = openSync(OWN, 'r');
  try {
    const fd = open(path);
    try {
      enter(path, fd);
    } finally {
      closeSync(fd);
    }
    try {
      return work();
    } finally {
      leave(own);
    }
  } finally {
    closeSync(own);
  }
}

function leave(own: number): void {
  try {
    setns(own, CLONE_NEWNET);
  } catch (error) {
    throw new Error('dp is stuck in another network namespace', { cause: error });
  }
}
