// Loads the programs over what an earlier dp pinned; tables of another layout are moved to new ones before the programs
// that need them decide. Killed at any step, either the old programs or the new ones are in force, and the next start goes on.
import { existsSync } from 'node:fs';
import { TICK_SHIFT } from './abi.gen.ts';
import { Attachment, type AttachmentKind, PROGRAMS } from './attachment.ts';
import { type Awaited, awaitedPolicies, clearPolicy } from './awaited-policies.ts';
import type { PinDirectory } from './bpffs.ts';
import { carryCounts, takeCarriedAlong } from './carried-counts.ts';
import { Generation, renew, setWatcher } from './generation.ts';
import { updateElement } from './libbpf.ts';
import { LoadError, ProgramObject, type Sizes, WATCH } from './program-object.ts';
import { TableCopy } from './table-copy.ts';
import {
  type Moves,
  movesBetween,
  TABLES,
  type TableName,
  type TablesLayout,
  TOLD_TABLES,
  TRAFFIC_TABLES,
} from './table-layouts.ts';

/** Programs that were replaced finish their packets in microseconds. */
const GRACE_MS = 20;

/** Where `onStep` is called: between any two of these dp may be killed. */
export const STEPS = [
  'next made',
  'told tables copied',
  'shadow attached',
  'traffic copied',
  'next complete',
  'new programs attached',
  'replaced set aside',
  'new tables in force',
  'counts carried',
] as const;
export type Step = (typeof STEPS)[number];

export type Loading = {
  /** The compiled programs. */
  readonly path: string;
  readonly sizes: Sizes;
  readonly onStep: (step: Step) => void;
};

/** By the age of an entry: what of the value tells when it was last used. */
const AGES: Readonly<Record<(typeof TRAFFIC_TABLES)[number], string>> = {
  flows: 'last_seen',
  denials: 'reported',
  fragments: '',
};

export class Upgrade {
  readonly #pins: PinDirectory;
  readonly #kind: AttachmentKind;
  readonly #loading: Loading;
  readonly #inForce: Generation;
  readonly #next: Generation;
  readonly #replaced: Generation;
  readonly object: ProgramObject;
  /** Interfaces where the earlier programs decide until these workloads have been told their policies. */
  readonly awaited: Awaited;

  /** Throws LoadError; what is in force stays so. */
  constructor(pins: PinDirectory, kind: AttachmentKind, loading: Loading) {
    using stack = new DisposableStack();
    this.#pins = pins;
    this.#kind = kind;
    this.#loading = loading;
    this.#inForce = new Generation(pins, 'in-force');
    this.#next = new Generation(pins, 'next');
    this.#replaced = new Generation(pins, 'replaced');
    this.object = stack.use(new ProgramObject(loading.path, loading.sizes));
    const layout = this.object.layout();
    this.#takeUp(layout);
    if (this.#inForce.exists) this.#loadBeside(layout);
    else this.#loadFirst(layout);
    this.awaited = this.#next.exists ? awaitedPolicies(this.#inForce, this.#next) : new Map();
    this.#goOn();
    stack.move();
  }

  /** A workload's policy is there, or the workload is gone. Where that was the last of an interface, the new programs decide on it. */
  told(ifindex: number, endpoint: number): void {
    const awaited = this.awaited.get(ifindex);
    if (!awaited?.delete(endpoint) || awaited.size > 0) return;
    this.awaited.delete(ifindex);
    this.#goOn();
  }

  /** Where the tables are pinned that the programs use. */
  get tables(): Generation {
    return this.#next.exists ? this.#next : this.#inForce;
  }

  /** Brings what a dp left that was killed to a state from where to go on: tables in force, and maybe complete next ones. */
  #takeUp(layout: TablesLayout): void {
    if (existsSync(`${this.#pins.path}/endpoints`))
      throw new LoadError(
        `the tables pinned in ${this.#pins.path} are of a version that can't be taken over: what is in force stays; ` +
          `podwall-dp --detach --pin ${this.#pins.path} removes it`,
      );
    if (!this.#inForce.exists && this.#next.exists) this.#next.moveTo(this.#inForce);
    if (this.#inForce.exists && !this.#inForce.isComplete) this.#inForce.remove(); // killed at the very first start
    if (this.#replaced.exists) {
      this.#inForce.attach(this.#pins, this.#kind);
      this.#finish();
    }
    if (!this.#next.exists || (this.#next.isComplete && isSame(this.#next.layout(), layout))) return;
    if (this.#next.isComplete && awaitedPolicies(this.#inForce, this.#next).size === 0) {
      this.#next.attach(this.#pins, this.#kind);
      this.#commit();
    } else this.#giveUpNext();
  }

  /** The earlier programs decide everywhere, as they do where nothing was begun. */
  #giveUpNext(): void {
    this.#inForce.attach(this.#pins, this.#kind);
    this.#next.remove();
  }

  #loadFirst(layout: TablesLayout): void {
    this.#inForce.create();
    this.object.load(this.#inForce.path);
    this.#inForce.complete(this.object, layout);
  }

  #loadBeside(layout: TablesLayout): void {
    const moves = movesBetween(this.#inForce.layout(), layout);
    if (moves.moved.size === 0) {
      this.object.load(this.#inForce.path);
      this.#inForce.complete(this.object, layout);
    } else if (this.#next.exists) this.object.load(this.#next.path);
    else this.#prepare(moves, layout);
  }

  #prepare(moves: Moves, layout: TablesLayout): void {
    try {
      this.#fillNext(moves, layout);
    } catch (error) {
      this.#giveUpNext();
      throw error;
    }
    this.#loading.onStep('next complete');
  }

  #fillNext(moves: Moves, layout: TablesLayout): void {
    const { onStep, path, sizes } = this.#loading;
    this.#next.create();
    for (const name of TABLES) if (!moves.moved.has(name)) this.#inForce.with(name, (fd) => this.#next.pin(name, fd));
    takeCarriedAlong(this.#inForce, this.#next, moves.moved);
    onStep('next made');
    const hasTraffic = TRAFFIC_TABLES.some((name) => moves.moved.has(name));
    using shadow = hasTraffic ? new ProgramObject(path, sizes, 'shadow') : undefined;
    shadow?.load(this.#next.path);
    if (!shadow) this.object.load(this.#next.path);
    this.#copyTold(moves, layout);
    onStep('told tables copied');
    if (shadow) {
      this.#attachShadow(shadow);
      onStep('shadow attached');
      this.#copyTraffic(layout);
      onStep('traffic copied');
      this.object.load(this.#next.path);
    }
    this.#next.complete(this.object, layout);
  }

  #copyTold({ moved, arePoliciesLost }: Moves, layout: TablesLayout): void {
    const before = this.#inForce.layout();
    for (const name of TOLD_TABLES.filter((table) => moved.has(table)))
      this.#copying(name, before, layout, (copy) => {
        const room = layout.tables[name]?.maxEntries ?? 0;
        const count = copy.count();
        if (count > room)
          throw new LoadError(
            `${name}: ${count} entries are in force, and this dp takes ${room}; the earlier one goes on`,
          );
        const change = name === 'endpoints' && arePoliciesLost ? clearPolicy(layout) : undefined;
        const leftOut = copy.all({ mustFit: true, ...(change ? { change } : {}) });
        if (leftOut > 0)
          throw new LoadError(`${name}: ${leftOut} entries in force have numbers that this dp has no room for`);
      });
  }

  /** From here on every packet meets the new programs, and then the earlier ones, which go on to decide. */
  #attachShadow(shadow: ProgramObject): void {
    for (const [direction, program] of PROGRAMS.entries())
      this.#inForce.with(program, (fd) => updateElement(shadow.mapFd('previous'), u32(direction), u32(fd), 0));
    const attachment = new Attachment(this.#pins.links, this.#kind, (name) => shadow.programFd(name));
    for (const ifindex of attachment.interfaces()) renew(attachment, ifindex);
    wait(GRACE_MS);
  }

  /** Those from before the shadow was there as they are; it goes on with them. */
  #copyTraffic(layout: TablesLayout): void {
    const before = this.#inForce.layout();
    const since = nowTicks() - 1;
    for (const name of TRAFFIC_TABLES)
      this.#copying(name, before, layout, (copy) => {
        copy.newest(AGES[name]);
        copy.settle(AGES[name], since);
      });
  }

  #copying(name: TableName, before: TablesLayout, layout: TablesLayout, use: (copy: TableCopy) => void): void {
    const [from, to] = [before.tables[name], layout.tables[name]];
    if (!from || !to) return;
    this.#inForce.with(name, (fromFd) =>
      this.#next.with(name, (toFd) => use(new TableCopy({ fd: fromFd, layout: from }, { fd: toFd, layout: to }))),
    );
  }

  /** The new programs decide wherever nothing is awaited; where nothing is anywhere, their tables take the others' place. */
  #goOn(): void {
    const attachment = new Attachment(this.#pins.links, this.#kind, (name) => this.object.programFd(name));
    for (const ifindex of attachment.interfaces()) if (!this.awaited.has(ifindex)) renew(attachment, ifindex);
    if (this.awaited.size > 0) return;
    setWatcher(this.#pins, this.object.programFd(WATCH));
    if (this.#next.exists) this.#commit();
  }

  #commit(): void {
    const { onStep } = this.#loading;
    onStep('new programs attached');
    this.#inForce.moveTo(this.#replaced);
    onStep('replaced set aside');
    this.#next.moveTo(this.#inForce);
    onStep('new tables in force');
    this.#finish();
  }

  /** No packet meets the replaced programs any more: their sums are final. */
  #finish(): void {
    wait(GRACE_MS);
    this.#inForce.unpin('previous');
    carryCounts(this.#replaced, this.#inForce);
    this.#loading.onStep('counts carried');
    this.#replaced.remove();
  }
}

const isSame = (a: TablesLayout, b: TablesLayout): boolean => JSON.stringify(a) === JSON.stringify(b);
const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const nowTicks = (): number => Number(process.hrtime.bigint() >> BigInt(TICK_SHIFT));

/** dp does nothing else meanwhile. */
function wait(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
