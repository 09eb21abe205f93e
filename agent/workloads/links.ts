// Keeps what the kernel says of each workload's interface: its MAC, its addresses, its other end on the node.
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { type PodLink, PodLinkError, PodLinks } from './netns/pod-link.ts';
import { NetlinkError } from './netns/route-socket.ts';
import type { NamespaceEntry } from './netns-file.ts';

/** While an interface is awaited. */
const MISSING_POLL_MS = 100;
/** For addresses that come and go. A look-up takes 0.1 ms. */
const KNOWN_POLL_MS = 1000;

export type LocalWorkload = {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly link: PodLink;
};

/** Why there is no link: none yet (or no more); one that can't be policed; none that could be read just now. */
type Absence = { readonly kind: 'awaited' | 'unusable' | 'unreadable'; readonly reason: string };
type Watched = { readonly entry: NamespaceEntry; readAt: number; workload?: LocalWorkload; absence?: Absence };

export class WorkloadLinks implements Disposable {
  readonly #links = new PodLinks();
  readonly #log: Logger;
  readonly #onChange: () => void;
  #watched: readonly Watched[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `onChange` is called when any workload's interface came, changed or went, or the problem that it has. */
  constructor(log: Logger, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  setEntries(entries: readonly NamespaceEntry[]): void {
    const before = this.#watched;
    this.#watched = entries.map(
      (entry) => before.find((known) => isDeepStrictEqual(known.entry, entry)) ?? { entry: { ...entry }, readAt: 0 },
    );
    this.#look(before.some((known) => !this.#watched.includes(known)));
  }

  /** Those whose interface is there. */
  workloads(): LocalWorkload[] {
    return this.#watched.flatMap(({ workload }) => workload ?? []);
  }

  /** Why workloads can't be policed, in words. */
  problems(): string[] {
    return this.#watched.flatMap(({ entry, absence }) =>
      !absence || absence.kind === 'awaited' ? [] : `${nameOf(entry)}: ${absence.reason}`,
    );
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#links[Symbol.dispose]();
  }

  #look(isChanged = false): void {
    clearTimeout(this.#timer);
    const dueBefore = Date.now() - KNOWN_POLL_MS;
    const due = this.#watched.filter(({ workload, readAt }) => !workload || readAt <= dueBefore);
    const changed = due.filter((watched) => this.#update(watched));
    const isAnyMissing = this.#watched.some(({ workload }) => !workload);
    this.#timer = setTimeout(() => this.#look(), isAnyMissing ? MISSING_POLL_MS : KNOWN_POLL_MS);
    if (changed.length > 0 || isChanged) this.#onChange();
  }

  #update(watched: Watched): boolean {
    const found = this.#read(watched.entry);
    watched.readAt = Date.now();
    return 'reason' in found ? this.#miss(watched, found) : this.#find(watched, found);
  }

  #miss(watched: Watched, absence: Absence): boolean {
    const { entry, workload, absence: before } = watched;
    if (before && before.reason === absence.reason) return false;
    if (absence.kind !== 'unreadable') delete watched.workload; // else what was read before holds
    watched.absence = absence;
    const fields = { workload: nameOf(entry), reason: absence.reason };
    if (absence.kind !== 'awaited') this.#log.error(fields, 'workload can not be policed');
    else if (workload) this.#log.info({ ...fields, mac: workload.link.mac }, 'workload gone');
    else this.#log.info(fields, 'workload awaited');
    return true;
  }

  #find(watched: Watched, link: PodLink): boolean {
    const { entry, workload: before, absence } = watched;
    delete watched.absence;
    if (before && isDeepStrictEqual(before.link, link)) return absence !== undefined;
    const { namespace, name, uid } = entry;
    watched.workload = { namespace, name, ...(uid !== undefined && { uid }), link };
    const { mac, ips, hostInterface } = link;
    const event = before ? 'workload changed' : 'workload found';
    this.#log.info({ workload: nameOf(entry), mac, ips, interface: hostInterface.name }, event);
    return true;
  }

  #read({ netns, interface: name }: NamespaceEntry): PodLink | Absence {
    try {
      return this.#links.read({ path: netns }, name);
    } catch (error) {
      if (error instanceof PodLinkError) return { kind: 'unusable', reason: `${error.code}: ${error.message}` };
      const code = error instanceof NetlinkError || isSystemError(error) ? error.code : undefined;
      if (code === 'ENODEV') return { kind: 'awaited', reason: `${netns} has no interface ${name}` };
      // EINVAL: a namespace's file that is made, but that the namespace is not mounted on yet
      if (code === 'ENOENT' || code === 'EINVAL')
        return { kind: 'awaited', reason: `${netns} is no network namespace` };
      if (code !== undefined) return { kind: 'unreadable', reason: String(error) };
      throw error;
    }
  }
}

const nameOf = ({ namespace, name }: NamespaceEntry): string => `${namespace}/${name}`;
const isSystemError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error;
