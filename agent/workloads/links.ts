// Keeps what the kernel says of each workload's interface: its MAC, its addresses, its other end on the node.
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { type NamespaceName, type PodLink, PodLinkError, PodLinks } from './netns/pod-link.ts';
import { NetlinkError } from './netns/route-socket.ts';
import { type Identity, idOf, nameOf, type Place } from './source.ts';

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
export type Absence = { readonly kind: 'awaited' | 'unusable' | 'unreadable'; readonly reason: string };
type Watched = { readonly place: Place; readAt: number; workload?: LocalWorkload; absence?: Absence };

export class WorkloadLinks implements Disposable {
  readonly #links = new PodLinks();
  readonly #log: Logger;
  readonly #onChange: () => void;
  /** By place, as JSON. */
  #watched: ReadonlyMap<string, Watched> = new Map();
  #timer: NodeJS.Timeout | undefined;

  /** `onChange` is called when any workload's interface came, changed or went, or the problem that it has. */
  constructor(log: Logger, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Looks for the new ones at once. */
  setPlaces(places: readonly Place[]): void {
    const before = this.#watched;
    this.#watched = new Map(
      places.map((place) => {
        const key = JSON.stringify(place);
        return [key, before.get(key) ?? { place, readAt: 0 }];
      }),
    );
    const isAnyGone = [...before.keys()].some((key) => !this.#watched.has(key));
    this.#look(
      [...this.#watched.values()].filter(({ readAt }) => readAt === 0),
      isAnyGone,
    );
  }

  /** Those whose interface is there. */
  workloads(): LocalWorkload[] {
    return this.#all().flatMap(({ workload }) => workload ?? []);
  }

  /** Why workloads can't be policed, in words. */
  problems(): string[] {
    return this.#all().flatMap(({ place, absence }) =>
      !absence || absence.kind === 'awaited' ? [] : `${nameOf(place)}: ${absence.reason}`,
    );
  }

  /** Why a workload has no interface; undefined where it has one, or is not known. */
  absenceOf(workload: Identity): Absence | undefined {
    const id = idOf(workload);
    return this.#all().find(({ place }) => idOf(place) === id)?.absence;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#links[Symbol.dispose]();
  }

  #all(): Watched[] {
    return [...this.#watched.values()];
  }

  #look(due: readonly Watched[], isAnyGone = false): void {
    clearTimeout(this.#timer);
    const changed = due.filter((watched) => this.#update(watched));
    const isAnyMissing = this.#all().some(({ workload }) => !workload);
    this.#timer = setTimeout(() => this.#look(this.#due()), isAnyMissing ? MISSING_POLL_MS : KNOWN_POLL_MS);
    if (changed.length > 0 || isAnyGone) this.#onChange();
  }

  #due(): Watched[] {
    const dueBefore = Date.now() - KNOWN_POLL_MS;
    return this.#all().filter(({ workload, readAt }) => !workload || readAt <= dueBefore);
  }

  #update(watched: Watched): boolean {
    const found = this.#read(watched.place);
    watched.readAt = Date.now();
    return 'reason' in found ? this.#miss(watched, found) : this.#find(watched, found);
  }

  #miss(watched: Watched, absence: Absence): boolean {
    const { place, workload, absence: before } = watched;
    if (before && before.reason === absence.reason) return false;
    if (absence.kind !== 'unreadable') delete watched.workload; // else what was read before holds
    watched.absence = absence;
    const fields = { workload: nameOf(place), reason: absence.reason };
    if (absence.kind !== 'awaited') this.#log.error(fields, 'workload can not be policed');
    else if (workload) this.#log.info({ ...fields, mac: workload.link.mac }, 'workload gone');
    else this.#log.info(fields, 'workload awaited');
    return true;
  }

  #find(watched: Watched, link: PodLink): boolean {
    const { place, workload: before, absence } = watched;
    delete watched.absence;
    if (before && isDeepStrictEqual(before.link, link)) return absence !== undefined;
    const { namespace, name, uid } = place;
    watched.workload = { namespace, name, ...(uid !== undefined && { uid }), link };
    const { mac, ips, hostInterface } = link;
    const event = before ? 'workload changed' : 'workload found';
    this.#log.info({ workload: nameOf(place), mac, ips, interface: hostInterface.name }, event);
    return true;
  }

  #read({ netns, interface: name }: Place): PodLink | Absence {
    try {
      return this.#links.read(netns, name);
    } catch (error) {
      if (error instanceof PodLinkError) return { kind: 'unusable', reason: `${error.code}: ${error.message}` };
      const code = error instanceof NetlinkError || isSystemError(error) ? error.code : undefined;
      if (code === 'ENODEV') return { kind: 'awaited', reason: `${describe(netns)} has no interface ${name}` };
      // EINVAL: a namespace's file that is made, but that the namespace is not mounted on yet; ESRCH: a process that ended
      if (code === 'ENOENT' || code === 'EINVAL' || code === 'ESRCH')
        return { kind: 'awaited', reason: `${describe(netns)} is no network namespace` };
      if (code !== undefined) return { kind: 'unreadable', reason: String(error) };
      throw error;
    }
  }
}

const describe = (netns: NamespaceName): string => ('path' in netns ? netns.path : `process ${netns.pid}`);
const isSystemError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error;
