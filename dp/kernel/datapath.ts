// The kernel programs and their tables: loaded once, pinned, attached to interfaces.

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
  type Listener,
  listener,
  type Port,
  port,
  RECORD_SIZE,
} from './abi.gen.ts';
import { Attachment, type AttachmentKind, type ProgramName } from './attachment.ts';
import type { PinDirectory } from './bpffs.ts';
import {
  closeObject,
  createArray,
  deleteElement,
  findMap,
  findProgram,
  isKernelError,
  KernelError,
  loadObject,
  lookupElement,
  mapFd,
  maxEntries,
  openFile,
  possibleCpus,
  programFd,
  runProgram,
  setMaxEntries,
  setPinPath,
  updateElement,
} from './libbpf.ts';
import { close, fillMap, interfaceName } from './libc.ts';
import { Table } from './table.ts';

const OBJECT = `${import.meta.dirname}/../bpf/build/policy.bpf.o`;
const PINNED_MAPS = [
  'endpoints',
  'endpoint_addresses',
  'listeners',
  'policies',
  'flows',
  'denials',
  'socket_notes',
  'fragments',
  'fqdn_names',
  'address_names',
  'hits',
  'drops',
  'counters',
  'events',
  'ports',
  'watchers',
] as const;
const INNER_MMAPABLE = 0x1000 | 0x400; // BPF_F_INNER_MAP | BPF_F_MMAPABLE

/** How many flows the table can have; each takes 176 bytes of the kernel's memory from the start. */
export const FLOWS = { least: 4096, most: 2 ** 24, usual: 2 ** 17 } as const;
/** Denied flows are remembered in a table of their own: a quarter as many, but no more than this. */
const MOST_DENIALS = 2 ** 17;

export class LoadError extends Error {
  readonly code = 'LOAD';
}

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

export class Datapath implements Disposable {
  readonly #object: unknown;
  readonly attachment: Attachment;
  readonly watching: Watching;
  #isOpen = true;
  readonly endpoints: Table<EndpointKey, Endpoint>;
  readonly endpointAddresses: Table<EndpointAddress, Flag>;
  readonly listeners: Table<Listener, number>;
  readonly names: Table<FqdnName, FqdnIds>;
  readonly addressNames: Table<Address, AddressNames>;
  readonly hits: Table<HitKey, HitCount>;
  readonly drops: Table<DropKey, DropCount>;
  readonly ports: Table<number, Port>;

  private constructor(object: unknown, path: string, kind: AttachmentKind) {
    this.#object = object;
    this.watching = new Watching(`${path}/watched`, `${path}/watchers`, kind);
    this.attachment = new Attachment(`${path}/links`, kind, (name) => this.#programFd(name));
    this.endpoints = new Table(this.#fd('endpoints'), endpointKey, endpoint);
    this.endpointAddresses = new Table(this.#fd('endpoint_addresses'), endpointAddress, flag);
    this.listeners = new Table(this.#fd('listeners'), listener, number);
    this.names = new Table(this.#fd('fqdn_names'), fqdnName, fqdnIds);
    this.addressNames = new Table(this.#fd('address_names'), address, addressNames);
    this.hits = new Table(this.#fd('hits'), hitKey, hitCount);
    this.drops = new Table(this.#fd('drops'), dropKey, dropCount);
    this.ports = new Table(this.#fd('ports'), number, port);
    updateElement(this.#fd('watchers'), u32(0), u32(programFd(findProgram(object, 'watch'))), 0);
  }

  /**
   * Loads the programs over the tables that are pinned there, or makes them; interfaces get the new programs at once.
   * `flows`: room in the table of flows, within FLOWS.
   */
  static open(pins: PinDirectory, kind: AttachmentKind = 'auto', flows: number = FLOWS.usual): Datapath {
    const object = openFile(OBJECT, null);
    if (!object) throw new LoadError(`${OBJECT} is missing: run npm run build`);
    for (const name of PINNED_MAPS) setPinPath(findMap(object, name), `${pins.path}/${name}`);
    setMaxEntries(findMap(object, 'flows'), flows);
    setMaxEntries(findMap(object, 'denials'), Math.min(flows >> 2, MOST_DENIALS));
    try {
      loadObject(object);
    } catch (error) {
      closeObject(object);
      throw loadError(error, pins.path);
    }
    const datapath = new Datapath(object, pins.path, kind);
    for (const ifindex of datapath.attachment.interfaces()) datapath.#renew(ifindex);
    return datapath;
  }

  /** Puts these programs in the place of an earlier dp's; an interface that is gone needs none. */
  #renew(ifindex: number): void {
    if (interfaceName(ifindex) === undefined) this.attachment.detach(ifindex);
    else this.attachment.attach(ifindex);
  }

  /** Puts a blob under an index of `policies`, in one step; throws KernelError where the kernel has no memory for it. */
  installPolicy(index: number, blob: Uint8Array): void {
    const fd = createArray('podwall_policy', RECORD_SIZE, blob.length / RECORD_SIZE, INNER_MMAPABLE);
    try {
      fillMap(fd, blob);
      updateElement(this.#fd('policies'), u32(index), u32(fd), 0);
    } finally {
      close(fd);
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
    return {
      flows: maxEntries(findMap(this.#object, 'flows')),
      denials: maxEntries(findMap(this.#object, 'denials')),
    };
  }

  eventsFd(): number {
    return this.#fd('events');
  }

  /** Flows that had a packet in this tick or a later one. */
  flowsSince(tick: number): [FlowKey, Flow][] {
    return this.flows().entries((values, at) => values.getUint32(at + flow.offsets.lastSeen, true) >= tick);
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

  #fd(map: string): number {
    return mapFd(findMap(this.#object, map));
  }

  #programFd(name: ProgramName): number {
    return programFd(findProgram(this.#object, name));
  }

  /** Lets go of the tables and programs: what is pinned stays. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
    closeObject(this.#object);
  }
}

function loadError(error: unknown, path: string): unknown {
  if (!(error instanceof KernelError)) return error;
  if (error.code === 'EPERM')
    return new LoadError(
      'the kernel refused to load the programs (EPERM): dp needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON',
    );
  return new LoadError(
    `the kernel programs did not load (${error.code}): the tables pinned in ${path} may be of another version of Podwall; ` +
      `podwall-dp --detach --pin ${path} removes them, and with them what they enforce`,
  );
}
