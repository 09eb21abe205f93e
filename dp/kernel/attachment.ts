// Where the programs sit: TCX links pinned in the BPF file system, or filters of a clsact qdisc where the kernel has no TCX.
import { mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import {
  attachFilter,
  createHook,
  createLink,
  detachFilter,
  detachLink,
  FILTER,
  getPinned,
  isKernelError,
  KernelError,
  pin,
  updateLink,
} from './libbpf.ts';
import { close } from './libc.ts';

/** enum bpf_attach_type. */
export const TCX = { ingress: 46, egress: 47 } as const;
/** enum bpf_tc_attach_point. */
export const CLSACT_POINT = { ingress: 1, egress: 2 } as const;
/** By the side of the host's interface: its ingress is what the workload sends. */
const HOOKS = [
  { program: 'from_workload', tcx: TCX.ingress, clsact: CLSACT_POINT.ingress },
  { program: 'to_workload', tcx: TCX.egress, clsact: CLSACT_POINT.egress },
] as const;

export type ProgramName = (typeof HOOKS)[number]['program'];
export const PROGRAMS: readonly ProgramName[] = HOOKS.map(({ program }) => program);
/** `auto` is TCX where the kernel has it (6.6), else clsact. */
export const ATTACHMENTS = ['auto', 'tcx', 'clsact'] as const;
export type AttachmentKind = (typeof ATTACHMENTS)[number];

/** A folder of this name says that an interface has filters: these live in no file of their own. */
const CLSACT = 'clsact';

export class Attachment {
  readonly #links: string;
  readonly #kind: AttachmentKind;
  readonly #programFd: (name: ProgramName) => number;

  /** `links`: a folder of the BPF file system. */
  constructor(links: string, kind: AttachmentKind, programFd: (name: ProgramName) => number) {
    mkdirSync(links, { recursive: true, mode: 0o700 });
    this.#links = links;
    this.#kind = kind;
    this.#programFd = programFd;
  }

  /** The interfaces that have programs of ours. */
  interfaces(): number[] {
    return interfacesOf(this.#links);
  }

  /** Puts both programs on an interface, in the place of older ones of ours. Throws KernelError. */
  attach(ifindex: number): void {
    try {
      if (this.#kind === 'clsact') throw new KernelError('bpf_link_create', -EINVAL);
      for (const { program, tcx } of HOOKS) this.#attachLink(ifindex, program, tcx);
      detachFilters(this.#links, ifindex);
    } catch (error) {
      if (this.#kind === 'tcx' || !isKernelError(error, 'EINVAL')) throw error;
      this.#attachFilters(ifindex);
    }
  }

  /** Once this returns, no packet meets the programs any more. */
  detach(ifindex: number): void {
    detachFrom(this.#links, ifindex);
  }

  #attachLink(ifindex: number, program: ProgramName, attachType: number): void {
    attachLink(this.#path(ifindex, program), this.#programFd(program), ifindex, attachType);
  }

  #attachFilters(ifindex: number): void {
    mkdirSync(this.#path(ifindex, CLSACT), { recursive: true, mode: 0o700 });
    createHook(ifindex);
    for (const { program, clsact } of HOOKS) attachFilter(ifindex, clsact, this.#programFd(program), FILTER.workload);
    detachLinks(this.#links, ifindex);
  }

  #path(ifindex: number, name: ProgramName | typeof CLSACT): string {
    return `${this.#links}/${ifindex}-${name}`;
  }
}

const EINVAL = 22;

function interfacesOf(links: string): number[] {
  return [...new Set(readdirSync(links).map((name) => Number.parseInt(name, 10)))];
}

/** Takes the programs off every interface. */
export function detachAll(links: string): void {
  for (const ifindex of interfacesOf(links)) detachFrom(links, ifindex);
}

function detachFrom(links: string, ifindex: number): void {
  detachFilters(links, ifindex);
  detachLinks(links, ifindex);
}

function detachLinks(links: string, ifindex: number): void {
  for (const { program } of HOOKS) endLink(`${links}/${ifindex}-${program}`);
}

/** Puts a program on an interface by a link pinned there, or into the link that is there. `attachType`: enum bpf_attach_type. */
export function attachLink(path: string, program: number, ifindex: number, attachType: number): void {
  if (replaceProgram(path, program)) return;
  const link = createLink(program, ifindex, attachType, null);
  pin(link, path);
  close(link);
}

/** A pin that is removed ends its link some time later: to be sure, the link is told to end. Nothing where there is none. */
export function endLink(path: string): void {
  const link = pinnedLink(path);
  if (link === undefined) return;
  try {
    detachLink(link);
  } finally {
    close(link);
  }
  rmSync(path);
}

/** The qdisc stays: others may use it, and without filters it does nothing. */
function detachFilters(links: string, ifindex: number): void {
  try {
    rmdirSync(`${links}/${ifindex}-${CLSACT}`);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  for (const { clsact } of HOOKS) detachFilter(ifindex, clsact, FILTER.workload);
}

/** Undefined where nothing is pinned there. */
export function pinnedLink(path: string): number | undefined {
  try {
    return getPinned(path);
  } catch (error) {
    if (isKernelError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Whether the link pinned there took the program; a link whose interface is gone is removed. */
export function replaceProgram(path: string, program: number): boolean {
  const link = pinnedLink(path);
  if (link === undefined) return false;
  try {
    updateLink(link, program, null);
    return true;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    rmSync(path, { force: true });
    return false;
  } finally {
    close(link);
  }
}
