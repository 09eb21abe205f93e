// The BPF file system that keeps programs and maps alive while dp is away.
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { isKernelError, KernelError } from './libbpf.ts';
import { lock, mountBpf } from './libc.ts';

const BPF_FS_MAGIC = 0xcafe4a11;
const DEFAULT_MOUNT = '/sys/fs/bpf';

export class PinError extends Error {
  readonly code = 'PIN_DIRECTORY';
}

const isBpffs = (path: string): boolean => statfsSync(path).type === BPF_FS_MAGIC;

function firstExisting(path: string): string {
  return existsSync(path) ? path : firstExisting(dirname(path));
}

/** Makes the directory, mounting the BPF file system at its usual place where nothing is mounted there. */
function preparePinDirectory(path: string): void {
  if (!isBpffs(firstExisting(path)) && path.startsWith(`${DEFAULT_MOUNT}/`)) mountBpf(DEFAULT_MOUNT);
  const place = firstExisting(path);
  if (!isBpffs(place))
    throw new PinError(`--pin ${path}: ${place} is not on a BPF file system; use a folder below ${DEFAULT_MOUNT}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

function prepared(path: string): number {
  try {
    preparePinDirectory(path);
    return openSync(path, 'r');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')))
      throw error;
    throw new PinError(
      `--pin ${path}: no permission (${error.code}): dp runs as root, or with CAP_SYS_ADMIN for the mount`,
    );
  }
}

/** The directory of one dp, and the lock that says so. */
export class PinDirectory implements Disposable {
  readonly path: string;
  readonly #lock: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#lock = fd;
  }

  /** Throws PinError where it is no place for pins, or another dp has it. */
  static open(path: string): PinDirectory {
    const fd = prepared(path);
    try {
      lock(fd);
    } catch (error) {
      closeSync(fd);
      if (error instanceof KernelError && isKernelError(error, 'EAGAIN'))
        throw new PinError(`--pin ${path}: another dp works with this folder; stop it, or give this one its own`);
      throw error;
    }
    return new PinDirectory(path, fd);
  }

  /** Where the programs' links are. */
  get links(): string {
    return `${this.path}/links`;
  }

  /** Removes the directory: what is pinned nowhere else ends. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    closeSync(this.#lock);
  }
}
