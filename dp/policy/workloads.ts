// The workloads of this node and the policy that each has in force, in the kernel and here.
import { randomInt } from 'node:crypto';
import { type Endpoint, MAX_ENDPOINT_ID, NETNS_CURRENT, NETNS_UNKNOWN, reason, tap as TAP } from '../kernel/abi.gen.ts';
import { kernelAddressOf, macText, textOf } from '../kernel/address.ts';
import type { Datapath } from '../kernel/datapath.ts';
import { interfaceName } from '../kernel/libc.ts';
import { namespaceBehind } from '../kernel/link-namespace.ts';
import { NO_POLICY, PolicySlots } from '../kernel/slots.ts';
import { requireRoom } from '../limits.ts';
import { hasMac, isPortId, type Port, type Ports } from '../ports/ports.ts';
import type { KeptPolicy } from './kept-policy.ts';
import { Listeners } from './listeners.ts';
import {
  familiesOf,
  INTERFACE_ITSELF,
  isInterfaceItself,
  keyOf,
  nextEpoch,
  UNPOLICED,
  type Workload,
} from './workload.ts';

export class Workloads {
  readonly #datapath: Datapath;
  readonly #ports: Ports;
  readonly #listeners: Listeners;
  readonly #slots: PolicySlots;
  /** Ports of an earlier dp that this one could not take up, and why: what was in force there stays. */
  readonly notRenewed: string[] = [];
  readonly #byMac = new Map<string, Workload[]>();
  /** Kept with each workload in the kernel; a node without workloads forgets it with dp. */
  #isDisabled = false;

  /** Takes up the workloads that an earlier dp left in the kernel; those whose interface is gone are forgotten. */
  constructor(datapath: Datapath, ports: Ports) {
    this.#datapath = datapath;
    this.#ports = ports;
    this.#listeners = new Listeners(datapath);
    const ofEndpoint = Map.groupBy(datapath.endpointAddresses.entries(), ([{ endpoint }]) => endpoint);
    for (const [key, state] of datapath.endpoints.entries()) {
      const iface = this.#nameOf(key.ifindex);
      if (iface === undefined) datapath.endpoints.delete(key);
      if (iface === undefined || isInterfaceItself(key)) continue;
      const addresses = new Set((ofEndpoint.get(state.id) ?? []).map(([{ address }]) => textOf(address)));
      const port = ports.get(key.ifindex);
      this.#remember({ mac: macText(key.mac), ifindex: key.ifindex, iface, port, state, policy: undefined, addresses });
    }
    this.#isDisabled = this.all().some(({ state }) => state.tap & TAP.node);
    for (const ifindex of datapath.interfaces()) if (!this.on(ifindex).length) datapath.detach(ifindex);
    this.#slots = new PolicySlots(
      datapath,
      this.all().map(({ state }) => state.policy),
    );
    for (const port of ports.all()) this.#renew(port);
  }

  /** Puts these programs in the place of an earlier dp's. */
  #renew(port: Port): void {
    const [workload] = this.on(port.id);
    if (workload) this.#ports.changed(port, workload.state);
    if (!workload) this.#ports.detach(port);
    else
      try {
        this.#ports.renew(port);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        this.notRenewed.push(`${port.iface} in ${port.netns}: ${error.message}`);
      }
  }

  /** Undefined where the interface, or the port's, is gone. */
  #nameOf(ifindex: number): string | undefined {
    if (!isPortId(ifindex)) return interfaceName(ifindex);
    const port = this.#ports.get(ifindex);
    return port && this.#ports.isThere(port) ? port.iface : undefined;
  }

  all(): Workload[] {
    return [...this.#byMac.values()].flat();
  }

  on(ifindex: number): Workload[] {
    return this.all().filter((workload) => workload.ifindex === ifindex);
  }

  /** Those with this MAC: one, but for a MAC that two interfaces have. */
  withMac(mac: string): readonly Workload[] {
    return this.#byMac.get(mac.toLowerCase()) ?? [];
  }

  withId(id: number): Workload | undefined {
    return this.all().find(({ state }) => state.id === id);
  }

  /** Packets that were dropped, or would have been but for tap, by the name of the reason. */
  drops({ state }: Workload): [why: string, packets: bigint][] {
    return Object.entries(reason).flatMap(([why, number]): [string, bigint][] => {
      const drop = this.#datapath.drops.get({ endpoint: state.id, reason: number });
      return drop ? [[why, drop.packets]] : [];
    });
  }

  /** Registers a workload and attaches the programs; of one that is there already only the addresses change. */
  add(mac: string, iface: string, ifindex: number, addresses: readonly string[]): void {
    this.#forgetGone();
    const known = this.withMac(mac).find((workload) => workload.ifindex === ifindex);
    const workload = known ?? this.#create(mac, iface, ifindex, undefined);
    this.setAddresses(workload, new Set(addresses));
    const netns = namespaceBehind(ifindex);
    if (netns !== workload.state.netns) this.#write(workload, { ...workload.state, netns });
    this.#datapath.attach(ifindex);
  }

  /**
   * Registers a workload by its port and puts the port to work, in the place of whom the port was before. Throws as
   * Ports.attach does: within a command, what was there stays.
   */
  addOnPort(mac: string, port: Port): void {
    this.#datapath.changes.lasting(() => this.forgetGonePorts());
    const before = this.#ports.find(port.kind, port.netns, port.iface);
    const known = this.withMac(mac).find(({ ifindex }) => ifindex === port.id);
    const replaced = before ? this.on(before.id).filter((other) => other !== known) : [];
    if (!known) this.#create(mac, port.iface, port.id, port);
    this.#ports.attach(port);
    this.#datapath.changes.afterwards(() => {
      for (const other of replaced) this.remove(other.mac, other.ifindex);
    });
  }

  /** Forgets the workloads whose port's interface is gone; answers them. */
  forgetGonePorts(): Workload[] {
    const gone = this.all().filter(({ port }) => port && !this.#ports.isThere(port));
    for (const { mac, ifindex } of gone) this.remove(mac, ifindex);
    return gone;
  }

  /** Each workload has an entry, and each interface with a workload. */
  #requireRoomOn(ifindex: number): void {
    const all = this.all();
    const interfaces = new Set(all.map((workload) => workload.ifindex)).add(ifindex);
    const what = 'workloads and interfaces of workloads';
    requireRoom(what, all.length + 1 + interfaces.size, this.#datapath.endpoints.room);
  }

  #create(mac: string, iface: string, ifindex: number, port: Port | undefined): Workload {
    this.#requireRoomOn(ifindex);
    const netns = port && hasMac(port, mac) ? NETNS_CURRENT : NETNS_UNKNOWN;
    const tap = (this.#isDisabled ? TAP.node : 0) | (port?.kind === 'tap' ? TAP.port : 0);
    const state = { ...UNPOLICED, id: this.#newId(), epoch: 1, revision: 1, tap, families: 0, netns };
    const addresses = new Set<string>();
    const workload: Workload = { mac: mac.toLowerCase(), ifindex, iface, port, state, policy: undefined, addresses };
    this.#remember(workload);
    this.#datapath.changes.undoBy(() => this.remove(workload.mac, ifindex));
    this.#put(workload, state);
    return workload;
  }

  /** By chance, so that one that is given again after its workload has gone is hardly found by a flow that is left of it. */
  #newId(): number {
    for (;;) {
      const id = randomInt(1, MAX_ENDPOINT_ID + 1);
      if (!this.withId(id)) return id;
    }
  }

  /** An interface that is gone may have come back under another index, with the same MAC. */
  #forgetGone(): void {
    const gone = this.all().filter(({ ifindex }) => this.#nameOf(ifindex) === undefined);
    this.#datapath.changes.lasting(() => {
      for (const { mac, ifindex } of gone) this.remove(mac, ifindex);
    });
  }

  /** New ones are there before a family is checked by them, and old ones until it no longer is. */
  setAddresses(workload: Workload, addresses: ReadonlySet<string>): void {
    const { state, addresses: before } = workload;
    this.#requireRoomFor(addresses.difference(before).size);
    for (const address of addresses.difference(before))
      this.#datapath.endpointAddresses.set({ address: kernelAddressOf(address), endpoint: state.id }, {});
    workload.addresses = addresses;
    this.#datapath.changes.undoBy(() => {
      workload.addresses = before;
    });
    const families = familiesOf(addresses);
    if (families !== state.families) this.#write(workload, { ...state, families, epoch: nextEpoch(workload) });
    this.#forgetAddresses(state.id, before.difference(addresses));
  }

  #requireRoomFor(addresses: number): void {
    const used = this.all().reduce((sum, workload) => sum + workload.addresses.size, 0);
    const what = 'addresses of all workloads, with those that are being replaced';
    requireRoom(what, used + addresses, this.#datapath.endpointAddresses.room);
  }

  #forgetAddresses(endpoint: number, addresses: ReadonlySet<string>): void {
    for (const address of addresses)
      this.#datapath.endpointAddresses.delete({ address: kernelAddressOf(address), endpoint });
  }

  /** Forgets a workload: its traffic passes as if never policed. False where there is none such. */
  remove(mac: string, ifindex: number): boolean {
    const workload = this.withMac(mac).find((one) => one.ifindex === ifindex);
    if (!workload) return false;
    const others = this.withMac(mac).filter((one) => one !== workload);
    if (others.length > 0) this.#byMac.set(workload.mac, others);
    else this.#byMac.delete(workload.mac);
    // The interface's entry first: by it alone, a packet of the workload would be one of a spoofed MAC.
    const [next] = this.on(ifindex);
    if (next) this.#becomeFirst(next);
    else this.#datapath.endpoints.delete({ ifindex, mac: INTERFACE_ITSELF });
    this.#datapath.endpoints.delete(keyOf(workload));
    if (!next) this.#detach(workload);
    this.#forgetAddresses(workload.state.id, workload.addresses);
    this.#listeners.forget(workload.state.id);
    for (const why of Object.values(reason)) this.#datapath.drops.delete({ endpoint: workload.state.id, reason: why });
    this.#slots.release(workload.state.policy);
    this.#datapath.told(ifindex, workload.state.id);
    return true;
  }

  #becomeFirst(workload: Workload): void {
    this.#writeInterface(workload, workload.state);
    if (workload.port) this.#ports.changed(workload.port, workload.state);
  }

  #detach({ ifindex, port }: Workload): void {
    if (port) this.#ports.detach(port);
    else this.#datapath.detach(ifindex);
  }

  /**
   * Puts a policy in force for a workload in one step: the packet after it meets the whole of it. Undefined: none. Without a
   * blob its rules are those in force, and only the rest of it may differ.
   * Answers the new epoch. Throws where the kernel refuses: within a command, what was in force stays.
   */
  enforce(workload: Workload, policy: KeptPolicy | undefined, blob: Uint8Array | undefined): number {
    const { changes } = this.#datapath;
    const [before, policyBefore] = [workload.state.policy, workload.policy];
    const isKept = policy !== undefined && blob === undefined;
    const index = blob ? this.#slots.take(blob) : isKept ? before : NO_POLICY;
    if (!isKept) changes.undoBy(() => this.#slots.release(index));
    const epoch = nextEpoch(workload);
    const { defaultAction, directions } = policy ?? UNPOLICED;
    const learns = Number((policy?.names.size ?? 0) > 0);
    const state = { ...workload.state, policy: index, epoch, revision: epoch, defaultAction, directions, learns };
    this.#write(workload, state);
    workload.policy = policy;
    changes.undoBy(() => {
      workload.policy = policyBefore;
    });
    this.#datapath.told(workload.ifindex, workload.state.id);
    if (!isKept) changes.afterwards(() => this.#slots.release(before));
    return epoch;
  }

  /** Has every flow of the workload classified again at its next packet. */
  reconsider(workload: Workload): void {
    this.#write(workload, { ...workload.state, epoch: nextEpoch(workload) });
  }

  /** What the workloads' ports speak, where no payload tells it. Throws CommandError, LimitExceeded. */
  setListeners(workloads: readonly Workload[], told: Parameters<Listeners['set']>[1]): void {
    this.#listeners.set(
      workloads.map(({ state }) => state.id),
      told,
    );
    for (const workload of workloads) this.reconsider(workload);
  }

  /** Throws LimitExceeded where policies of these blobs do not all fit beside those in the kernel. */
  checkRoom(blobs: readonly Uint8Array[]): void {
    this.#slots.checkRoom(blobs);
  }

  /** Whether a workload’s own setting lets everything pass. */
  setTap(workload: Workload, isTapped: boolean): void {
    this.#setTapBit(workload, TAP.workload, isTapped);
  }

  /** Whether policies are off on the whole node: nothing of any workload is dropped, but all is reported. */
  setDisabled(isDisabled: boolean): void {
    const before = this.#isDisabled;
    this.#datapath.changes.undoBy(() => {
      this.#isDisabled = before;
    });
    this.#isDisabled = isDisabled;
    for (const workload of this.all()) this.#setTapBit(workload, TAP.node, isDisabled);
  }

  get isDisabled(): boolean {
    return this.#isDisabled;
  }

  #setTapBit(workload: Workload, bit: number, isSet: boolean): void {
    const tap = isSet ? workload.state.tap | bit : workload.state.tap & ~bit;
    if (tap !== workload.state.tap) this.#write(workload, { ...workload.state, tap, epoch: nextEpoch(workload) });
  }

  #remember(workload: Workload): void {
    this.#byMac.set(workload.mac, [...this.withMac(workload.mac), workload]);
  }

  #write(workload: Workload, state: Endpoint): void {
    const before = workload.state;
    // What flows remember of an epoch that was begun must not count in a later one of the same number.
    const undone = (): Endpoint =>
      workload.state.epoch === before.epoch ? before : { ...before, epoch: nextEpoch(workload) };
    this.#datapath.changes.undoBy(() => this.#put(workload, undone()));
    this.#put(workload, state);
  }

  #put(workload: Workload, state: Endpoint): void {
    workload.state = state;
    this.#datapath.endpoints.set(keyOf(workload), state);
    if (workload.port) this.#ports.changed(workload.port, state);
    if (this.on(workload.ifindex)[0] === workload) this.#writeInterface(workload, state);
  }

  #writeInterface({ ifindex }: Workload, state: Endpoint): void {
    this.#datapath.endpoints.set({ ifindex, mac: INTERFACE_ITSELF }, state);
  }
}
