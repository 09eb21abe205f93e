// Follows a folder of manifests: watched, looked through from time to time besides, and read once it is quiet.
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { STATUS_SUFFIX } from '../../api/status.ts';
import type { Logger } from '../../log.ts';
import type { Declared } from '../declared.ts';
import {
  declaredBy,
  type FileState,
  type FolderState,
  nextFolderState,
  REMOVAL_GRACE_MS,
  type Scan,
} from './folder-state.ts';

const QUIET_MS = 50;
/** A folder that is never quiet is read all the same. */
const MAX_WAIT_MS = 500;
/** What no event told of (a lost one, a folder on a network) is found within this time. */
const RESCAN_MS = 2000;

const isManifest = (name: string): boolean =>
  /\.ya?ml$/.test(name) && !name.startsWith('.') && !name.endsWith(STATUS_SUFFIX);
/** Also other names: a mounted ConfigMap is exchanged by renaming `..data`. */
const mayMatter = (name: string | null): boolean => !name?.includes(STATUS_SUFFIX);

export class FolderSource implements AsyncDisposable {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #changed: (declared: Declared) => void;
  #state: FolderState = new Map();
  #watcher: FSWatcher | undefined;
  #watchedInode = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** When the first event came that no look has followed yet; 0 for none. */
  #newsSinceMs = 0;
  #isClosed = false;
  #hasDeclared = false;
  #lastError = '';

  /** `changed` gets all that is declared, first once the folder was read, then whenever it is other than before. */
  constructor(folder: string, log: Logger, changed: (declared: Declared) => void) {
    this.#folder = folder;
    this.#log = log;
    this.#changed = changed;
    this.#lookIn(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#watcher?.close();
    await this.#looking;
  }

  #lookIn(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look(this.#looking);
    }, delayMs);
  }

  #lookOnceQuiet(): void {
    this.#newsSinceMs ||= Date.now();
    this.#lookIn(Math.max(0, Math.min(QUIET_MS, this.#newsSinceMs + MAX_WAIT_MS - Date.now())));
  }

  async #look(previous: Promise<void> | undefined): Promise<void> {
    await previous;
    this.#newsSinceMs = 0;
    try {
      await this.#keepWatching();
      const scan = await readFolder(this.#folder);
      this.#lastError = '';
      this.#take(scan);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#lastError) {
        this.#log.error({ folder: this.#folder, error: message }, 'folder unreadable, all stays in force');
      }
      this.#lastError = message;
    }
    if (this.#newsSinceMs > 0) return; // the next look is already due
    const isAnyLeaving = [...this.#state.values()].some(({ missingSinceMs }) => missingSinceMs !== undefined);
    this.#lookIn(isAnyLeaving ? REMOVAL_GRACE_MS : RESCAN_MS);
  }

  /** A folder that was deleted and made anew needs a new watch: the old one is of the old inode. */
  async #keepWatching(): Promise<void> {
    const { ino } = await stat(this.#folder);
    if (this.#watcher && ino === this.#watchedInode) return;
    this.#watcher?.close();
    this.#watchedInode = ino;
    this.#watcher = watch(this.#folder, (_, name) => {
      if (mayMatter(name)) this.#lookOnceQuiet();
    }).on('error', (error) => {
      this.#log.warn({ folder: this.#folder, error: error.message }, 'folder watch lost, looking through it instead');
      this.#watcher = undefined;
    });
  }

  #take(scan: Scan): void {
    const before = this.#state;
    const state = nextFolderState(before, scan, Date.now());
    this.#state = state;
    let isChanged = !this.#hasDeclared;
    for (const file of new Set([...before.keys(), ...state.keys()])) {
      isChanged = this.#tell(file, before.get(file), state.get(file)) || isChanged;
    }
    if (!isChanged) return;
    this.#hasDeclared = true;
    this.#changed(declaredBy(state));
  }

  /** Logs what became of a file; answers whether what it declares, or what is refused of it, is other than before. */
  #tell(file: string, before: FileState | undefined, after: FileState | undefined): boolean {
    if (!after) {
      this.#log.info({ file }, 'rule file removed');
      return true;
    }
    const refused = messages(after);
    if (refused.length > 0 && messages(before).join() !== refused.join()) {
      this.#log.error({ file, errors: refused }, 'rule file refused, what it had stays in force');
      return true;
    }
    if (before?.inForce === after.inForce)
      return before?.missingSinceMs !== after.missingSinceMs || refused.length !== messages(before).length;
    this.#log.info({ file, resources: after.inForce?.length ?? 0 }, 'rule file accepted');
    return true;
  }
}

const messages = (state: FileState | undefined): string[] => (state?.refusals ?? []).map(({ message }) => message);

async function readFolder(folder: string): Promise<Scan> {
  const names = (await readdir(folder)).filter(isManifest).sort();
  const files = await Promise.all(names.map(async (name) => [name, await readManifest(join(folder, name))] as const));
  return new Map(files.flatMap(([name, read]) => (read ? [[name, read] as const] : [])));
}

/** Undefined for a file that is gone since it was listed. */
async function readManifest(path: string): Promise<{ text: string } | { error: string } | undefined> {
  try {
    return { text: await readFile(path, 'utf8') };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
