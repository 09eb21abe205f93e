// The ports that dp was told of: interfaces in network namespaces, watched or with a netfilter queue. Kept in the kernel for a dp
// that comes back.
import { randomInt } from 'node:crypto';
import { statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Endpoint, FIRST_PORT, INTERFACE_BYTES, type Port as KernelPort, PATH_BYTES } from '../kernel/abi.gen.ts';
import { interfaceIndex, interfaceName } from '../kernel/libc.ts';
import { inNamespace, NamespaceError } from '../kernel/namespace.ts';
import type { Table } from '../kernel/table.ts';
import { requireRoom } from '../limits.ts';

const MAX_ID = 0xffffffff;

export type Port = {
  /** In the place of an interface's index, which is always lower. */
  readonly id: number;
  readonly kind: 'tap' | 'queue';
  /** A path, as /run/netns/NAME or /proc/PID/ns/net. */
  readonly netns: string;
  readonly iface: string;
  /** Of the namespace, so that another one under its path is told from it. */
  readonly inode: bigint;
  readonly ifindex: number;
  /** Of the netfilter queue; 0 for a tap. */
  readonly queue: number;
};
export type PortName = Pick<Port, 'kind' | 'netns' | 'iface' | 'queue'>;

/** What puts a kind of port to work. */
export type PortKind = {
  attach(port: Port): void;
  detach(port: Port): void;
  /** Undefined: to be told by its namespace and interface. */
  isThere(id: number): boolean | undefined;
  /** What is in force for its workload has changed, or is told before `attach`. */
  changed(port: Port, state: Endpoint): void;
};

export const isPortId = (ifindex: number): boolean => ifindex >= FIRST_PORT;

export class Ports {
  readonly #table: Table<number, KernelPort>;
  readonly #kinds: Readonly<Record<Port['kind'], PortKind>>;
  readonly #byId: Map<number, Port>;

  constructor(table: Table<number, KernelPort>, kinds: Readonly<Record<Port['kind'], PortKind>>) {
    this.#table = table;
    this.#kinds = kinds;
    this.#byId = new Map(table.entries().map(([id, port]) => [id, portOf(id, port)]));
  }

  all(): Port[] {
    return [...this.#byId.values()];
  }

  get(id: number): Port | undefined {
    return this.#byId.get(id);
  }

  /** By the path of its namespace and the name of its interface, as it was told. */
  find(kind: Port['kind'], netns: string, iface: string): Port | undefined {
    return this.all().find((port) => port.kind === kind && port.netns === netns && port.iface === iface);
  }

  /** The port of this name as it is now, with the id of a known one that is the same. Throws NamespaceError. */
  look(name: PortName): Port {
    if (Buffer.byteLength(name.netns) >= PATH_BYTES)
      throw new NamespaceError(`network namespace ${name.netns}: a path of more than ${PATH_BYTES - 1} bytes`);
    const ifindex = inNamespace(name.netns, () => interfaceIndex(name.iface));
    if (ifindex === undefined)
      throw new NamespaceError(`no interface ${name.iface} in network namespace ${name.netns}`);
    const inode = statSync(name.netns, { bigint: true }).ino;
    const known = this.find(name.kind, name.netns, name.iface);
    const other = this.all().find((port) => isSameQueue(port, name, inode) && port.iface !== name.iface);
    if (other) throw new NamespaceError(`queue ${name.queue} in ${name.netns} is that of ${other.iface}: take another`);
    const isSame =
      known?.inode === inode && known.ifindex === ifindex && known.queue === name.queue && this.isThere(known);
    return { ...name, id: isSame ? known.id : this.#newId(), inode, ifindex };
  }

  #newId(): number {
    const id = randomInt(FIRST_PORT, MAX_ID);
    return this.#byId.has(id) ? this.#newId() : id;
  }

  /** Remembers a port and puts it to work. Throws LimitExceeded, NamespaceError and KernelError: then a new one is neither. */
  attach(port: Port): void {
    const isNew = !this.#byId.has(port.id);
    if (isNew) requireRoom('watched interfaces and queues', this.#byId.size + 1, this.#table.room);
    this.#table.set(port.id, kernelPortOf(port));
    this.#byId.set(port.id, port);
    try {
      this.#kinds[port.kind].attach(port);
    } catch (error) {
      if (isNew) this.detach(port);
      throw error;
    }
  }

  /** Puts this dp to work on a port of an earlier one. Throws as `attach`, and then leaves what is there. */
  renew(port: Port): void {
    this.#kinds[port.kind].attach(port);
  }

  changed(port: Port, state: Endpoint): void {
    this.#kinds[port.kind].changed(port, state);
  }

  detach(port: Port): void {
    this.#kinds[port.kind].detach(port);
    this.#table.delete(port.id);
    this.#byId.delete(port.id);
  }

  /** Whether its interface is still the one that it was told of. */
  isThere(port: Port): boolean {
    return this.#kinds[port.kind].isThere(port.id) ?? isStillThere(port);
  }
}

const isSameQueue = ({ kind, inode, queue }: Port, name: PortName, itsInode: bigint): boolean =>
  kind === 'queue' && name.kind === kind && queue === name.queue && inode === itsInode;

function isStillThere({ netns, inode, ifindex, iface }: Port): boolean {
  try {
    return (
      statSync(netns, { bigint: true }).ino === inode && inNamespace(netns, () => interfaceName(ifindex)) === iface
    );
  } catch (error) {
    if (error instanceof NamespaceError || (error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      return false;
    throw error;
  }
}

/** Whether the port's interface is a workload's own, by its MAC, and so the workload's sockets are in its namespace. Throws NamespaceError. */
export const hasMac = ({ netns, iface }: Port, mac: string): boolean =>
  inNamespace(netns, networkInterfaces)[iface]?.some((one) => one.mac === mac.toLowerCase()) ?? false;

const zeroFilled = (text: string, bytes: number): Uint8Array => {
  const filled = new Uint8Array(bytes);
  filled.set(Buffer.from(text));
  return filled;
};
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8').replace(/\0+$/, '');

const kernelPortOf = ({ kind, netns, iface, inode, ifindex, queue }: Port): KernelPort => ({
  inode,
  ifindex,
  queue,
  isQueue: Number(kind === 'queue'),
  namespace: zeroFilled(netns, PATH_BYTES),
  interface: zeroFilled(iface, INTERFACE_BYTES),
});

const portOf = (id: number, port: KernelPort): Port => ({
  id,
  kind: port.isQueue ? 'queue' : 'tap',
  netns: textOf(port.namespace),
  iface: textOf(port.interface),
  inode: port.inode,
  ifindex: port.ifindex,
  queue: port.queue,
});
