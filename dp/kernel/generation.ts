// One set of pinned tables with the programs over it and a description of its layout, in a directory of the BPF file system.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { Attachment, type AttachmentKind, PROGRAMS, type ProgramName } from './attachment.ts';
import type { PinDirectory } from './bpffs.ts';
import { createArray, getPinned, isKernelError, lookupElement, mapShape, pin, updateElement } from './libbpf.ts';
import { close, interfaceName } from './libc.ts';
import { type ProgramObject, WATCH, WATCHERS } from './program-object.ts';
import type { TablesLayout } from './table-layouts.ts';

/** Pinned last: with it, all is there. */
const LAYOUT = 'layout';
const FIRST = new Uint8Array(4);

/** `in-force` is what decides; `next` is being filled; `replaced` has counts that are still to be taken over. */
export const GENERATIONS = ['in-force', 'next', 'replaced'] as const;
export type GenerationName = (typeof GENERATIONS)[number];

export class Generation {
  readonly path: string;

  constructor(pins: PinDirectory, name: GenerationName) {
    this.path = `${pins.path}/${name}`;
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  /** Whether all of it was pinned. */
  get isComplete(): boolean {
    return existsSync(this.#at(LAYOUT));
  }

  create(): void {
    mkdirSync(this.path, { mode: 0o700 });
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  moveTo(other: Generation): void {
    renameSync(this.path, other.path);
  }

  has(name: string): boolean {
    return existsSync(this.#at(name));
  }

  /** Hands over the descriptor of what is pinned under a name. Throws KernelError ENOENT where nothing is. */
  with<T>(name: string, use: (fd: number) => T): T {
    const fd = getPinned(this.#at(name));
    try {
      return use(fd);
    } finally {
      close(fd);
    }
  }

  /** In the place of what was pinned there, in one step. */
  pin(name: string, fd: number): void {
    const made = this.#at(`${name}-new`);
    rmSync(made, { force: true });
    pin(fd, made);
    renameSync(made, this.#at(name));
  }

  unpin(name: string): void {
    rmSync(this.#at(name), { force: true });
  }

  /** The programs, and then the layout: from then on it is complete. */
  complete(object: ProgramObject, layout: TablesLayout): void {
    for (const program of [...PROGRAMS, WATCH] as const) this.pin(program, object.programFd(program));
    const text = Buffer.from(JSON.stringify(layout));
    const fd = createArray('podwall_layout', text.length, 1, 0);
    try {
      updateElement(fd, FIRST, text, 0);
      this.pin(LAYOUT, fd);
    } finally {
      close(fd);
    }
  }

  /** As `complete` wrote it: only dp may write here. */
  layout(): TablesLayout {
    return this.with(LAYOUT, (fd) => {
      // The kernel copies whole words.
      const bytes = Buffer.alloc(Math.ceil(mapShape(fd).valueBytes / 8) * 8);
      lookupElement(fd, FIRST, bytes);
      return JSON.parse(bytes.toString('utf8').replace(/\0+$/, ''));
    });
  }

  /** Has its programs decide on every interface that has programs of ours. */
  attach(pins: PinDirectory, kind: AttachmentKind): void {
    this.with(WATCH, (watch) => setWatcher(pins, watch));
    const opened = new Map<ProgramName, number>();
    try {
      for (const program of PROGRAMS) opened.set(program, getPinned(this.#at(program)));
      const attachment = new Attachment(pins.links, kind, (name) => opened.get(name) ?? -1);
      for (const ifindex of attachment.interfaces()) renew(attachment, ifindex);
    } finally {
      for (const fd of opened.values()) close(fd);
    }
  }

  #at(name: string): string {
    return `${this.path}/${name}`;
  }
}

/** Has a program decide on the packets of all watched interfaces. */
export function setWatcher(pins: PinDirectory, program: number): void {
  const watchers = getPinned(`${pins.path}/${WATCHERS}`);
  try {
    updateElement(watchers, FIRST, new Uint8Array(Uint32Array.of(program).buffer), 0);
  } finally {
    close(watchers);
  }
}

/** Puts an attachment's programs in the place of earlier ones; an interface that is gone needs none. */
export function renew(attachment: Attachment, ifindex: number): void {
  if (interfaceName(ifindex) === undefined) attachment.detach(ifindex);
  else attachment.attach(ifindex);
}

/** What is pinned under a name, or undefined: the caller closes it. */
export function openPinned(generation: Generation, name: string): number | undefined {
  try {
    return getPinned(`${generation.path}/${name}`);
  } catch (error) {
    if (isKernelError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
