// Programs that watch interfaces in other network namespaces: pinned as those of workloads are, but they drop nothing.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import {
  type AttachmentKind,
  attachLink,
  CLSACT_POINT,
  endLink,
  pinnedLink,
  replaceProgram,
  TCX,
} from '../kernel/attachment.ts';
import {
  attachFilter,
  createHook,
  detachFilter,
  FILTER,
  isKernelError,
  KernelError,
  linkInterface,
} from '../kernel/libbpf.ts';
import {
  closeObject,
  findMap,
  findProgram,
  loadObject,
  openFile,
  programFd,
  setInitialValue,
  setPinPath,
} from '../kernel/libbpf-object.ts';
import { close } from '../kernel/libc.ts';
import { inNamespace, NamespaceError } from '../kernel/namespace.ts';

const OBJECT = `${import.meta.dirname}/../bpf/build/watch.bpf.o`;
/** By the workload's own interface: it sends what goes out. */
const HOOKS = [
  { program: 'watch_sent', tcx: TCX.egress, clsact: CLSACT_POINT.egress },
  { program: 'watch_received', tcx: TCX.ingress, clsact: CLSACT_POINT.ingress },
] as const;
type ProgramName = (typeof HOOKS)[number]['program'];
const CLSACT = 'clsact';
const EINVAL = 22;

/** An interface by the path of its network namespace and its index within it. */
export type WatchedInterface = { readonly id: number; readonly netns: string; readonly ifindex: number };

export class Watching {
  readonly #links: string;
  readonly #watchers: string;
  readonly #kind: AttachmentKind;

  /** `links`: a folder of the BPF file system; `watchers`: where the map of that name is pinned. */
  constructor(links: string, watchers: string, kind: AttachmentKind) {
    mkdirSync(links, { recursive: true, mode: 0o700 });
    this.#links = links;
    this.#watchers = watchers;
    this.#kind = kind;
  }

  /** The ports that have programs of ours. */
  attached(): number[] {
    return [...new Set(readdirSync(this.#links).map((name) => Number.parseInt(name, 10)))];
  }

  /** Puts both programs on the interface, in the place of older ones. Throws NamespaceError and KernelError. */
  attach(watched: WatchedInterface): void {
    const object = this.#load(watched.id);
    const fdOf = (name: ProgramName) => programFd(findProgram(object, name));
    try {
      if (!this.#replace(watched.id, fdOf)) inNamespace(watched.netns, () => this.#attach(watched, fdOf));
    } finally {
      closeObject(object);
    }
  }

  /** Where links are there already, the namespace's path need not be. */
  #replace(id: number, fdOf: (name: ProgramName) => number): boolean {
    if (this.#kind === 'clsact' || this.#hasFilters(id)) return false;
    return HOOKS.every(({ program }) => replaceProgram(`${this.#links}/${id}-${program}`, fdOf(program)));
  }

  #load(id: number): unknown {
    const object = openFile(OBJECT, null);
    if (!object) throw new KernelError(`${OBJECT} is missing (run npm run build): bpf_object__open_file`, -2);
    try {
      setInitialValue(findMap(object, '.rodata'), new Uint8Array(Uint32Array.of(id).buffer), 4);
      setPinPath(findMap(object, 'watchers'), this.#watchers);
      loadObject(object);
      return object;
    } catch (error) {
      closeObject(object);
      throw error;
    }
  }

  #attach({ id, ifindex }: WatchedInterface, fdOf: (name: ProgramName) => number): void {
    try {
      if (this.#kind === 'clsact') throw new KernelError('bpf_link_create', -EINVAL);
      for (const { program, tcx } of HOOKS) attachLink(`${this.#links}/${id}-${program}`, fdOf(program), ifindex, tcx);
      this.#detachFilters(id, ifindex);
    } catch (error) {
      if (this.#kind === 'tcx' || !isKernelError(error, 'EINVAL')) throw error;
      mkdirSync(`${this.#links}/${id}-${CLSACT}`, { recursive: true, mode: 0o700 });
      createHook(ifindex);
      for (const { program, clsact } of HOOKS) attachFilter(ifindex, clsact, fdOf(program), FILTER.watched);
      this.#endLinks(id);
    }
  }

  /** Nothing where there is none, or where the interface is gone. */
  detach({ id, netns, ifindex }: WatchedInterface): void {
    this.#endLinks(id);
    try {
      if (this.#hasFilters(id)) inNamespace(netns, () => this.#detachFilters(id, ifindex));
    } catch (error) {
      if (!(error instanceof NamespaceError)) throw error;
    }
    rmSync(`${this.#links}/${id}-${CLSACT}`, { recursive: true, force: true });
  }

  /** Whether a link of ours says that its interface is there; undefined where there is no link to ask. */
  isThere(id: number): boolean | undefined {
    const link = pinnedLink(`${this.#links}/${id}-${HOOKS[0].program}`);
    if (link === undefined) return undefined;
    try {
      return linkInterface(link) !== 0;
    } finally {
      close(link);
    }
  }

  /** A watched interface drops nothing, whatever is in force. */
  changed(): void {}

  #hasFilters(id: number): boolean {
    return existsSync(`${this.#links}/${id}-${CLSACT}`);
  }

  #detachFilters(id: number, ifindex: number): void {
    if (!this.#hasFilters(id)) return;
    for (const { clsact } of HOOKS) detachFilter(ifindex, clsact, FILTER.watched);
    rmSync(`${this.#links}/${id}-${CLSACT}`, { recursive: true });
  }

  #endLinks(id: number): void {
    for (const { program } of HOOKS) endLink(`${this.#links}/${id}-${program}`);
  }
}
