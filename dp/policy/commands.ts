// Carries out the commands of the protocol; what each answers is a list of reports.
import type { AddressNames, Event } from '../kernel/abi.gen.ts';
import { NAMES_PER_ADDRESS } from '../kernel/abi.gen.ts';
import { kernelAddressOf, textOf } from '../kernel/address.ts';
import type { Datapath } from '../kernel/datapath.ts';
import { interfaceIndex } from '../kernel/libc.ts';
import { NO_POLICY } from '../kernel/slots.ts';
import { LearntAddresses } from '../learning/learnt-addresses.ts';
import { setResolvers } from '../learning/resolvers.ts';
import { InternalNetworks } from '../networks/internal-networks.ts';
import { type Port, Ports } from '../ports/ports.ts';
import type { Command, CommandBody, CommandName } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE, type Report } from '../protocol/reports.ts';
import { isPlainName } from '../queue/chain.ts';
import { kernelSurroundings } from '../queue/kernel-surroundings.ts';
import { type Queued, QueuePolicing } from '../queue/policing.ts';
import { Queues } from '../queue/queues.ts';
import { Batches } from './batches.ts';
import { asCommandError, badName, unknownMac } from './command-errors.ts';
import { type Change, CompiledPolicies } from './compiled-policies.ts';
import type { KeptPolicy } from './kept-policy.ts';
import { type AddressChange, canonical, Names, nameOfWire, wireName } from './names.ts';
import type { PolicyChange } from './policy.ts';
import type { Workload } from './workload.ts';
import { Workloads } from './workloads.ts';

export class Engine implements Disposable {
  readonly ports: Ports;
  readonly queues: Queues;
  readonly policing: QueuePolicing;
  readonly workloads: Workloads;
  readonly names: Names;
  readonly networks = new InternalNetworks();
  readonly learnt: LearntAddresses;
  readonly #datapath: Datapath;
  readonly #batches = new Batches();
  readonly #compiled = new CompiledPolicies((fqdn) => this.#nameId(fqdn));

  /** `onEvent` gets what is reported of packets that dp itself decides on. */
  constructor(datapath: Datapath, onEvent: (event: Event) => void = () => {}) {
    this.#datapath = datapath;
    this.names = new Names({ names: datapath.names.room, addresses: datapath.addressNames.room });
    this.learnt = new LearntAddresses(datapath);
    const around = kernelSurroundings(datapath, (address) => this.namesOf(address), onEvent);
    this.policing = new QueuePolicing(around);
    this.queues = new Queues((queued, port) => this.#decide(queued, port));
    this.ports = new Ports(datapath.ports, { tap: datapath.watching, queue: this.queues });
    this.workloads = new Workloads(datapath, this.ports);
    const ids = datapath.names.entries().flatMap(([{ wire }, { exact, below }]) => {
      const name = nameOfWire(wire);
      return [
        [name, exact],
        [`*.${name}`, below],
      ].filter((entry): entry is [string, number] => entry[1] !== 0);
    });
    const addresses = datapath.addressNames
      .entries()
      .map(([address, known]): [string, readonly number[]] => [textOf(address), known.ids.slice(0, known.count)]);
    this.names.restore(new Map(ids), new Map(addresses));
  }

  /** Throws CommandError where the command can't be carried out; then nothing of it is in force. */
  carryOut(command: Command): Report[] {
    try {
      return this.#datapath.changes.whole(() => this.#dispatch(command));
    } catch (error) {
      throw asCommandError(command.name, error);
    }
  }

  /** The names that an address has: those that dp was told it has, and names and patterns that it was learnt to have. */
  namesOf(address: string): readonly string[] {
    return [
      ...this.names.namesOf(address),
      ...this.learnt.namesOf(address).flatMap((id) => this.names.withId(id) ?? []),
    ];
  }

  /** Lets go of the queues; what is in the kernel stays. */
  [Symbol.dispose](): void {
    this.queues[Symbol.dispose]();
  }

  #dispatch({ name, body }: Command): Report[] {
    switch (name) {
      case 'ctrl_keep_alive':
        return [{ kind: 'keepAlive', sequence: body.seq_num }];
      case 'ctrl_cfg_policy': {
        const change = this.#batches.add(body);
        return change ? this.#changePolicies(change) : [];
      }
      case 'ctrl_add_mac':
        this.workloads.add(
          body.mac,
          body.iface,
          indexOf(name, body.iface),
          (body.pips ?? []).map(({ ip }) => ipText(ip)),
        );
        return [];
      case 'ctrl_del_mac':
        this.#removeMac(body);
        return [];
      case 'ctrl_cfg_mac':
        this.#configureMac(body);
        return [];
      case 'ctrl_cfg_set_fqdn':
        if (body.vhost) throw new CommandError(name, ERROR_CODE.notSupported, `${name}: vhost is not supported yet`);
        this.#setFqdn(body);
        return [];
      case 'ctrl_cfg_del_fqdn':
        for (const fqdn of body.names) {
          this.#undoAddresses(fqdn);
          this.#writeAddresses(this.names.removeAddresses(fqdn));
        }
        return [];
      case 'ctrl_add_tap_port':
        this.#addPort(body, 'tap', 0);
        return [];
      case 'ctrl_del_tap_port':
        this.#removePort(name, 'tap', body);
        return [];
      case 'ctrl_add_nfq_port':
        if (!isPlainName(body.iface)) throw badName(body.iface);
        this.#addPort(body, 'queue', body.qnum);
        return [];
      case 'ctrl_del_nfq_port':
        this.#removePort(name, 'queue', body);
        return [];
      case 'ctrl_cfg_internal_net':
        this.networks.add(body);
        return [];
      case 'ctrl_sys_conf':
        this.#configureSystem(body);
        return [];
      default:
        throw new CommandError(name, ERROR_CODE.notSupported, `${name}: not supported yet`);
    }
  }

  /** All of a command's workloads are compiled for before the first of them changes; those with one policy go on with one. */
  #changePolicies(change: PolicyChange): Report[] {
    const workloads = change.mac.flatMap((mac) => this.#known('ctrl_cfg_policy', mac));
    this.#makeRoomFor(change.rules.flatMap(({ fqdn }) => fqdn ?? []));
    const after = new Map<KeptPolicy | undefined, Change | undefined>();
    for (const before of new Set(workloads.map(({ policy }) => policy)))
      after.set(before, this.#compiled.change(before, change));
    this.workloads.checkRoom([...after.values()].flatMap((made) => made?.blob ?? []));
    const changed = workloads.map((workload) => ({ workload, change: after.get(workload.policy) }));
    const reports = changed.map(({ workload, change: made }): Report => {
      const epoch = this.workloads.enforce(workload, made?.policy, made?.blob);
      return { kind: 'policyRealized', realized: { mac: workload.mac, epoch, rules: made?.policy.size ?? 0 } };
    });
    this.#forgetUnused();
    return reports;
  }

  #forgetUnused(): void {
    this.#compiled.retain(new Set(this.workloads.all().map(({ policy }) => policy)));
  }

  /** A name's id, and where it is new, the name in the kernel and the addresses that it has already. */
  #nameId(fqdn: string): number {
    const before = this.names.kernelIds(fqdn);
    const id = this.names.idOf(fqdn);
    const ids = this.names.kernelIds(fqdn);
    if (ids.exact === before.exact && ids.below === before.below) return id;
    this.#datapath.changes.undoBy(() => this.names.forget(fqdn));
    this.#datapath.names.set({ wire: wireName(canonical(fqdn)) }, ids);
    if (ids.below !== before.below) this.#writeAddresses(this.names.underPattern(fqdn));
    return id;
  }

  /** Before names are used. Throws LimitExceeded where too many are in use. */
  #makeRoomFor(names: readonly string[]): void {
    if (this.names.room < names.length) this.#datapath.changes.lasting(() => this.#forgetUnusedNames());
    this.names.requireRoom(names);
  }

  /** Not while a policy of an earlier dp is in force: which names that one has is not known. */
  #forgetUnusedNames(): void {
    const workloads = this.workloads.all();
    if (workloads.some(({ state, policy }) => state.policy !== NO_POLICY && !policy)) return;
    const used = new Set(workloads.flatMap(({ policy }) => [...(policy?.names ?? [])]));
    for (const name of this.names.sweep((one) => used.has(one))) {
      const key = { wire: wireName(name) };
      const ids = this.names.kernelIds(name);
      if (ids.exact || ids.below) this.#datapath.names.set(key, ids);
      else this.#datapath.names.delete(key);
    }
  }

  #removeMac({ mac, iface }: CommandBody<'ctrl_del_mac'>): void {
    const index = interfaceIndex(iface);
    const found = this.workloads
      .withMac(mac)
      .find((one) => !one.port && (index === undefined ? one.iface === iface : one.ifindex === index));
    if (!found) throw unknownMac('ctrl_del_mac', `${mac} on ${iface}`);
    this.workloads.remove(mac, found.ifindex);
    this.#forgetUnused();
  }

  /** A port without a workload is about to be removed: it passes what comes. */
  #decide(queued: Queued, port: Port): boolean {
    const [workload] = this.workloads.on(port.id);
    return workload === undefined || this.policing.decide(queued, workload);
  }

  #addPort({ netns, iface, epmac }: CommandBody<'ctrl_add_tap_port'>, kind: Port['kind'], queue: number): void {
    this.workloads.addOnPort(epmac, this.ports.look({ kind, netns, iface, queue }));
  }

  #removePort(command: CommandName, kind: Port['kind'], { netns, iface }: CommandBody<'ctrl_del_tap_port'>): void {
    const port = this.ports.find(kind, netns, iface);
    if (!port) throw new CommandError(command, ERROR_CODE.interfaceFailed, `${command}: no port ${iface} of ${netns}`);
    for (const { mac } of this.workloads.on(port.id)) this.workloads.remove(mac, port.id);
  }

  #configureMac({ macs, tap, apps }: CommandBody<'ctrl_cfg_mac'>): void {
    const workloads = macs.flatMap((mac) => this.#known('ctrl_cfg_mac', mac));
    if (apps !== undefined) this.workloads.setListeners(workloads, apps ?? []);
    if (tap !== undefined) for (const workload of workloads) this.workloads.setTap(workload, tap);
  }

  #configureSystem({ xff_enabled, disable_net_policy, resolvers }: CommandBody<'ctrl_sys_conf'>): void {
    if (xff_enabled)
      throw new CommandError(
        'ctrl_sys_conf',
        ERROR_CODE.notSupported,
        'ctrl_sys_conf: xff_enabled is not supported: whoever sends an X-Forwarded-For header would choose the rules that he meets',
      );
    if (disable_net_policy !== undefined) this.workloads.setDisabled(disable_net_policy);
    if (resolvers !== undefined) setResolvers(this.#datapath, resolvers ?? []);
  }

  #setFqdn({ fqdn_name, fqdn_ips }: CommandBody<'ctrl_cfg_set_fqdn'>): void {
    const addresses = (fqdn_ips ?? []).map(ipText);
    this.#makeRoomFor([fqdn_name]);
    this.#nameId(fqdn_name);
    this.#undoAddresses(fqdn_name);
    this.#writeAddresses(this.names.setAddresses(fqdn_name, addresses));
  }

  #undoAddresses(fqdn: string): void {
    const before = this.names.addressesOf(fqdn);
    this.#datapath.changes.undoBy(() => {
      if (before) this.names.setAddresses(fqdn, before);
      else this.names.removeAddresses(fqdn);
    });
  }

  /** Flows are looked at again: those whose address ended go on, those to a new address may now pass. */
  #writeAddresses(changes: AddressChange): void {
    for (const [address, ids] of changes) {
      const key = kernelAddressOf(address);
      if (ids.length === 0) this.#datapath.addressNames.delete(key);
      else this.#datapath.addressNames.set(key, padded(ids));
    }
    if (changes.size === 0) return;
    for (const workload of this.workloads.all()) if (mayNameHosts(workload)) this.workloads.reconsider(workload);
  }

  #known(command: CommandName, mac: string): readonly Workload[] {
    const workloads = this.workloads.withMac(mac);
    if (workloads.length === 0) throw unknownMac(command, mac);
    return workloads;
  }
}

/** A policy of an earlier dp may have any rules. */
const mayNameHosts = ({ state, policy }: Workload): boolean =>
  state.policy !== NO_POLICY && (policy === undefined || policy.names.size > 0);

function indexOf(command: CommandName, iface: string): number {
  const index = interfaceIndex(iface);
  if (index !== undefined) return index;
  throw new CommandError(
    command,
    ERROR_CODE.interfaceFailed,
    `${command}: no interface ${iface} in dp’s network namespace`,
  );
}

/** The one form that an address has in all tables here. */
const ipText = (ip: string): string => textOf(kernelAddressOf(ip));

const padded = (ids: readonly number[]): AddressNames => ({
  count: ids.length,
  ids: Array.from({ length: NAMES_PER_ADDRESS }, (_, i) => ids[i] ?? 0),
});
