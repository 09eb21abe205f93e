// The kernel programs and their tables: loaded once, pinned, attached to interfaces.
import { mkdirSync } from 'node:fs';
import { Watching } from '../tap/watching.ts';
import {
  type Address,
  type AddressNames,
  address,
  addressNames,
  type Codec,
  type Denial,
  type DropCount,
  type DropKey,
  denial,
  dropCount,
  dropKey,
  type Endpoint,
  type EndpointAddress,
  type EndpointKey,
  endpoint,
  endpointAddress,
  endpointKey,
  type Flow,
  type FlowKey,
  type FqdnIds,
  type FqdnName,
  flow,
  flowKey,
  fqdnIds,
  fqdnName,
  type HitCount,
  type HitKey,
  hitCount,
  hitKey,
  type LearntBlock,
  type LearntKey,
  type Listener,
  learntBlock,
  learntKey,
  listener,
  type Port,
  port,
  RECORD_SIZE,
} from './abi.gen.ts';
import { Attachment, type AttachmentKind, type ProgramName } from './attachment.ts';
import type { PinDirectory } from './bpffs.ts';
import { carriedName } from './carried-counts.ts';
import { Changes } from './changes.ts';
import { CountTable } from './count-table.ts';
import { openPinned } from './generation.ts';
import {
  createArray,
  deleteElement,
  isKernelError,
  lookupElement,
  mapShape,
  possibleCpus,
  runProgram,
  updateElement,
} from './libbpf.ts';
import { close, fillMap } from './libc.ts';
import type { ProgramObject } from './program-object.ts';
import { later } from './record-copy.ts';
import { Table } from './table.ts';
import type { TableName } from './table-layouts.ts';
import { type Loading, Upgrade } from './upgrade.ts';

const OBJECT = `${import.meta.dirname}/../bpf/build/policy.bpf.o`;
/** Of a payload, what is looked at. */
const HEAD_BYTES = 64;
/** What a program can be run over at least, and some. */
const MIN_PACKET_BYTES = 64;
/** Of skb->cb in struct __sk_buff. */
const CB_AT = 48;
const INNER_MMAPABLE = 0x1000 | 0x400; // BPF_F_INNER_MAP | BPF_F_MMAPABLE

/** How many flows the table can have; each takes 176 bytes of the kernel's memory from the start. */
export const FLOWS = { least: 4096, most: 2 ** 24, usual: 2 ** 17 } as const;
/** Denied flows are remembered in a table of their own: a quarter as many, but no more than this. */
const MOST_DENIALS = 2 ** 17;

type Flag = Record<string, never>;
/** A value that says nothing: the key is there or not. */
const flag: Codec<Flag> = { size: 4, offsets: {}, write: () => {}, read: () => ({}) };

export const number: Codec<number> = {
  size: 4,
  offsets: {} as Codec<number>['offsets'], // a number has no fields
  write: (b, at, value) => b.setUint32(at, value, true),
  read: (b, at) => b.getUint32(at, true),
};

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** Some of a table's flows, and how many more were asked for. */
export type FlowsFound = { readonly flows: readonly (readonly [FlowKey, Flow])[]; readonly leftOut: number };

export class Datapath implements Disposable {
  readonly #upgrade: Upgrade;
  readonly #object: ProgramObject;
  readonly #attachment: Attachment;
  readonly watching: Watching;
  #isOpen = true;
  #flowCount = 0;
  /** Of the command that is carried out. */
  readonly changes = new Changes();
  readonly endpoints: Table<EndpointKey, Endpoint>;
  readonly endpointAddresses: Table<EndpointAddress, Flag>;
  readonly listeners: Table<Listener, number>;
  readonly names: Table<FqdnName, FqdnIds>;
  readonly addressNames: Table<Address, AddressNames>;
  readonly learntAddresses: Table<LearntKey, LearntBlock>;
  readonly resolvers: Table<Address, Flag>;
  readonly hits: CountTable<HitKey, HitCount>;
  readonly drops: CountTable<DropKey, DropCount>;

  readonly ports: Table<number, Port>;

  private constructor(upgrade: Upgrade, path: string, kind: AttachmentKind) {
    this.#upgrade = upgrade;
    this.#object = upgrade.object;
    this.watching = new Watching(`${path}/watched`, `${path}/watchers`, kind);
    this.#attachment = new Attachment(`${path}/links`, kind, (name) => this.#object.programFd(name));
    this.endpoints = new Table(this.#fd('endpoints'), endpointKey, endpoint, 'workloads and interfaces');
    this.endpointAddresses = new Table(
      this.#fd('endpoint_addresses'),
      endpointAddress,
      flag,
      'addresses of workloads',
      this.changes,
    );
    this.listeners = new Table(this.#fd('listeners'), listener, number, 'listeners', this.changes);
    this.names = new Table(this.#fd('fqdn_names'), fqdnName, fqdnIds, 'domain names', this.changes);
    this.addressNames = new Table(
      this.#fd('address_names'),
      address,
      addressNames,
      'addresses of domain names',
      this.changes,
    );
    this.learntAddresses = new Table(this.#fd('learnt_addresses'), learntKey, learntBlock, 'learnt addresses');
    this.resolvers = new Table(this.#fd('resolvers'), address, flag, 'resolvers', this.changes);
    const carriedHits = () => this.#carried('hits');
    this.hits = new CountTable(this.#fd('hits'), hitKey, hitCount, carriedHits, (a, b) => ({
      hits: a.hits + b.hits,
      lastNs: later(a.lastNs, b.lastNs),
    }));
    const carriedDrops = () => this.#carried('drops');
    this.drops = new CountTable(this.#fd('drops'), dropKey, dropCount, carriedDrops, (a, b) => ({
      packets: a.packets + b.packets,
      reported: Math.max(a.reported, b.reported),
      unreported: a.unreported + b.unreported,
    }));
    this.ports = new Table(this.#fd('ports'), number, port, 'ports');
  }

  /**
   * Loads the programs over the tables that are pinned there, or makes them; interfaces get the new programs at once.
   * Tables of another layout are moved. `flows`: room in the table of flows, within FLOWS. Throws LoadError: then what is
   * in force stays.
   */
  static open(
    pins: PinDirectory,
    kind: AttachmentKind = 'auto',
    flows: number = FLOWS.usual,
    loading: Partial<Loading> = {},
  ): Datapath {
    mkdirSync(pins.links, { recursive: true, mode: 0o700 });
    const sizes = { flows, denials: Math.min(flows >> 2, MOST_DENIALS) };
    const upgrade = new Upgrade(pins, kind, { path: OBJECT, sizes, onStep: () => {}, ...loading });
    return new Datapath(upgrade, pins.path, kind);
  }

  /** The interfaces that have programs of ours. */
  interfaces(): number[] {
    return this.#attachment.interfaces();
  }

  /** Puts the programs on an interface; not where an earlier version's decide until its workloads' policies are told. */
  attach(ifindex: number): void {
    if (!this.#upgrade.awaited.has(ifindex)) this.#attachment.attach(ifindex);
  }

  /** Once this returns, no packet meets the programs any more. */
  detach(ifindex: number): void {
    this.#attachment.detach(ifindex);
  }

  /** Workloads whose policies an earlier version has in force, and which this one has to be told. */
  get awaited(): number {
    return [...this.#upgrade.awaited.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** To be called once a workload's policy is in its tables, or it is forgotten. */
  told(ifindex: number, endpointId: number): void {
    this.changes.afterwards(() => this.#upgrade.told(ifindex, endpointId));
  }

  /**
   * Puts a blob under an index of `policies`, in one step; throws KernelError ENOMEM where the kernel has no memory for it. Answers
   * the map that holds it, to be closed. The kernel waits here until no packet meets the one before: some 10 ms.
   */
  installPolicy(index: number, blob: Uint8Array): number {
    const fd = createArray('podwall_policy', RECORD_SIZE, blob.length / RECORD_SIZE, INNER_MMAPABLE);
    try {
      fillMap(fd, blob);
      updateElement(this.#fd('policies'), u32(index), u32(fd), 0);
      return fd;
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** Takes a policy out of the kernel; nothing once the datapath is disposed of, since what is pinned stays. */
  removePolicy(index: number): void {
    if (!this.#isOpen) return;
    try {
      deleteElement(this.#fd('policies'), u32(index));
    } catch (error) {
      if (!isKernelError(error, 'ENOENT')) throw error;
    }
  }

  /** A counter of `enum counter`, summed over the CPUs. */
  counter(index: number): bigint {
    const values = new BigUint64Array(possibleCpus());
    lookupElement(this.#fd('counters'), u32(index), values);
    return values.reduce((sum, value) => sum + value, 0n);
  }

  /** How many entries the tables of flows and of denied flows have room for. */
  room(): { readonly flows: number; readonly denials: number } {
    return { flows: mapShape(this.#fd('flows')).maxEntries, denials: mapShape(this.#fd('denials')).maxEntries };
  }

  /** How many places `policies` has; the first is for none. */
  policyRoom(): number {
    return mapShape(this.#fd('policies')).maxEntries;
  }

  eventsFd(): number {
    return this.#fd('events');
  }

  /** Flows that had a packet in this tick or a later one. */
  flowsSince(tick: number, most: number): FlowsFound {
    let [count, matching] = [0, 0];
    const flows = this.flows().entries((values, at) => {
      count += 1;
      if (values.getUint32(at + flow.offsets.lastSeen, true) < tick) return false;
      matching += 1;
      return matching <= most; // reading what is left out anyway would cost more than all the rest
    });
    this.#flowCount = count;
    return { flows, leftOut: matching - flows.length };
  }

  /** How many flows the table had when it was last walked. */
  get flowCount(): number {
    return this.#flowCount;
  }

  flows(): Table<FlowKey, Flow> {
    return new Table(this.#fd('flows'), flowKey, flow);
  }

  denials(): Table<FlowKey, Denial> {
    return new Table(this.#fd('denials'), flowKey, denial);
  }

  /** Runs a program over a packet as if it came by this interface: BPF_PROG_TEST_RUN. */
  run(program: ProgramName, packet: Uint8Array, ifindex: number, repeat = 1): { verdict: number; ns: number } {
    const context = new Uint8Array(192); // struct __sk_buff
    new DataView(context.buffer).setUint32(40, ifindex, true);
    return runProgram(this.#programFd(program), packet, context, repeat);
  }

  /** The code of the application that a side's first payload tells, of `bytes` bytes; 0 is none. By the kernel programs' own code. */
  identify(payload: Uint8Array, bytes: number, isFromClient: boolean, isTcp: boolean): number {
    const head = new Uint8Array(HEAD_BYTES);
    head.set(payload.subarray(0, HEAD_BYTES));
    const context = new Uint8Array(192); // struct __sk_buff
    const words = new DataView(context.buffer);
    words.setUint32(CB_AT, bytes, true);
    words.setUint32(CB_AT + 4, Number(!isFromClient), true);
    words.setUint32(CB_AT + 8, Number(isTcp), true);
    return runProgram(this.#object.ownFd('tell_application'), head, context, 1).verdict;
  }

  /** Has an address keep a name that it was learnt to have, until a tick. False where there is no room. By a program, as what it writes never undoes another's. */
  keepAddress(kept: Address, name: number, untilTick: number): boolean {
    const packet = new Uint8Array(MIN_PACKET_BYTES);
    address.write(new DataView(packet.buffer), 0, kept);
    const context = new Uint8Array(192); // struct __sk_buff
    const words = new DataView(context.buffer);
    words.setUint32(CB_AT, name, true);
    words.setUint32(CB_AT + 4, untilTick, true);
    return runProgram(this.#object.ownFd('keep_address'), packet, context, 1).verdict === 0;
  }

  #fd(map: TableName): number {
    return this.#object.mapFd(map);
  }

  #carried(table: 'hits' | 'drops'): number | undefined {
    return openPinned(this.#upgrade.tables, carriedName(table));
  }

  #programFd(name: ProgramName): number {
    return this.#object.programFd(name);
  }

  /** Lets go of the tables and programs: what is pinned stays. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#object[Symbol.dispose]();
  }
}
