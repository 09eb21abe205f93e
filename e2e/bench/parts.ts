// dp's programs and parts of them, over the tables of a running dp or over tables of their own, and run on packets.
import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import {
  type Endpoint,
  type EndpointKey,
  endpoint,
  endpointKey,
  type FlowKey,
  flowKey,
} from '../../dp/kernel/abi.gen.ts';
import { macText } from '../../dp/kernel/address.ts';
import { isKernelError, KernelError, lookupElement, runProgram, updateElement } from '../../dp/kernel/libbpf.ts';
import {
  closeObject,
  findMap,
  findProgram,
  loadObject,
  mapFd,
  openFile,
  programFd,
  setMaxEntries,
  setPinPath,
} from '../../dp/kernel/libbpf-object.ts';
import { close } from '../../dp/kernel/libc.ts';
import { Table } from '../../dp/kernel/table.ts';
import { TABLES } from '../../dp/kernel/table-layouts.ts';

const OBJECT = `${import.meta.dirname}/bpf/build/parts.bpf.o`;
const IN_FORCE = 'in-force';
/** Of a test run's packets: loopback, which is in every network namespace. */
const IFINDEX = 1;
const CONTEXT_BYTES = 192; // struct __sk_buff
const CONTEXT_IFINDEX = 40;

const mapById = koffi.load('libbpf.so.1').func('int bpf_map_get_fd_by_id(uint32_t id)');

type Tables = { readonly pins: string } | { readonly flows: number };

export class Parts implements Disposable {
  readonly #object: unknown;
  readonly endpoints: Table<EndpointKey, Endpoint>;

  /** `pins`: where the dp whose tables are meant has pinned them. `flows`: how many its own table of flows is for. */
  constructor(tables: Tables) {
    this.#object = openFile(OBJECT, null);
    if (!this.#object) throw new KernelError(`open ${OBJECT}`, -2);
    if ('pins' in tables) {
      for (const name of TABLES) {
        const map = findMap(this.#object, name);
        if (map) setPinPath(map, `${tables.pins}/${IN_FORCE}/${name}`); // not all parts have all tables
      }
    } else {
      setMaxEntries(findMap(this.#object, 'flows'), tables.flows);
    }
    loadObject(this.#object);
    this.endpoints = new Table(this.fd('endpoints'), endpointKey, endpoint);
  }

  /** What dp has in force for a workload. */
  stateOf(mac: string): Endpoint {
    const found = this.endpoints.entries().find(([key]) => key.ifindex !== IFINDEX && macText(key.mac) === mac);
    if (!found) throw new RangeError(`dp knows no workload ${mac}`);
    return found[1];
  }

  /** Has the packets of test runs belong to a workload with this MAC and state. */
  place(mac: Uint8Array, state: Endpoint): void {
    this.endpoints.set({ ifindex: IFINDEX, mac }, state);
  }

  /** Sets the flow that `classify_question` is about; `endpoint` is the index of the policy. */
  ask(flow: FlowKey): void {
    const bytes = new Uint8Array(flowKey.size);
    flowKey.write(new DataView(bytes.buffer), 0, flow);
    updateElement(this.fd('question'), Uint32Array.of(0), bytes, 0);
  }

  /** The mean time of a program over a packet, in ns. */
  time(program: string, packet: Uint8Array, repeat: number): number {
    return this.#run(program, packet, repeat).ns;
  }

  /** What a program answers to a packet. */
  verdict(program: string, packet: Uint8Array): number {
    return this.#run(program, packet, 1).verdict;
  }

  fd(map: string): number {
    return mapFd(findMap(this.#object, map));
  }

  /** Bytes of each policy in the kernel, by its index. */
  policyBytes(maxPolicies: number): Map<number, number> {
    const bytes = new Map<number, number>();
    const id = new Uint32Array(1);
    for (let index = 1; index < maxPolicies; index++) {
      try {
        lookupElement(this.fd('policies'), Uint32Array.of(index), id);
      } catch (error) {
        if (isKernelError(error, 'ENOENT')) continue;
        throw error;
      }
      const fd: number = mapById(id[0]);
      if (fd < 0) throw new KernelError('bpf_map_get_fd_by_id', fd);
      bytes.set(index, mapBytes(fd));
      close(fd);
    }
    return bytes;
  }

  #run(program: string, packet: Uint8Array, repeat: number): { verdict: number; ns: number } {
    const context = new Uint8Array(CONTEXT_BYTES);
    new DataView(context.buffer).setUint32(CONTEXT_IFINDEX, IFINDEX, true);
    return runProgram(programFd(findProgram(this.#object, program)), packet, context, repeat);
  }

  [Symbol.dispose](): void {
    closeObject(this.#object);
  }
}

/** What the kernel has set aside for a map. */
export function mapBytes(fd: number): number {
  const bytes = /^memlock:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  if (bytes === undefined) throw new RangeError('the kernel does not say how much memory a map has');
  return Number(bytes);
}
