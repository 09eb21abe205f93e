// The domain names of rules, and which addresses have them. Pure: it says what the kernel's tables should hold.
import { NAME_BYTES, NAMES_PER_ADDRESS } from '../kernel/abi.gen.ts';
import { LimitExceeded, requireRoom } from '../limits.ts';

/** Of the kernel's tables: names and patterns of rules, and addresses of all names together. */
export const ROOM = { names: 16_384, addresses: 65_536 } as const;
type Room = { readonly names: number; readonly addresses: number };
const FEWER_NAMES = 'names that no rule has, and no address, are forgotten by themselves';

/** A name or `*.` pattern as all tables have it: lower case, without the final dot. */
export const canonical = (name: string): string => name.toLowerCase().replace(/\.$/, '');

/** As on the wire (RFC 1035 3.1), zero-filled: the kernel's key. The pattern `*.x` has the name x. */
export function wireName(name: string): Uint8Array {
  const wire = new Uint8Array(NAME_BYTES);
  let at = 0;
  for (const label of baseOf(name).split('.')) {
    wire[at] = label.length;
    wire.set(Buffer.from(label, 'latin1'), at + 1);
    at += label.length + 1;
  }
  return wire;
}

export function nameOfWire(wire: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 0; wire[at]; at += (wire[at] ?? 0) + 1)
    labels.push(Buffer.from(wire.subarray(at + 1, at + 1 + (wire[at] ?? 0))).toString('latin1'));
  return labels.join('.');
}

const isPattern = (name: string): boolean => name.startsWith('*.');
const baseOf = (name: string): string => (isPattern(name) ? name.slice(2) : name);

/** The patterns that a name falls under: *.x for each proper suffix x. */
function patternsOver(name: string): string[] {
  const labels = name.split('.');
  return labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join('.')}`);
}

/** Addresses whose names changed, with the ids that each has now. */
export type AddressChange = ReadonlyMap<string, readonly number[]>;

export class Names {
  readonly #ids = new Map<string, number>();
  readonly #nameOf = new Map<number, string>();
  /** Addresses by name, as the commands set them; never of patterns' own. */
  readonly #addresses = new Map<string, ReadonlySet<string>>();
  /** The same, the other way round. */
  readonly #namesOf = new Map<string, Set<string>>();
  #last = 0;
  readonly #room: Room;

  constructor(room: Room = ROOM) {
    this.#room = room;
  }

  /** Takes up what an earlier dp left in the kernel: names by id, and ids by address. */
  restore(ids: ReadonlyMap<string, number>, addresses: ReadonlyMap<string, readonly number[]>): void {
    for (const [name, id] of ids) {
      this.#number(name, id);
      this.#last = Math.max(this.#last, id);
    }
    for (const [address, known] of addresses)
      for (const id of known) {
        const name = this.#nameOf.get(id);
        if (name !== undefined && !isPattern(name)) this.#assign(name, new Set(this.#addresses.get(name)).add(address));
      }
  }

  /** The id of a name or pattern, a new one where it has none. Throws LimitExceeded where there are too many: nothing changes. */
  idOf(fqdn: string): number {
    const name = canonical(fqdn);
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    this.requireRoom([name]);
    this.#last += 1;
    this.#number(name, this.#last);
    const problem = isPattern(name) ? problemOf(name, this.underPattern(name)) : undefined;
    if (!problem) return this.#last;
    this.forget(name);
    throw problem;
  }

  /**
   * Forgets names that have no address and that `isUsed` says no to; answers them. The highest id stays, as the next
   * one is counted from it also after a restart: an id that a flow remembers is never another name's.
   */
  sweep(isUsed: (name: string) => boolean): string[] {
    const unused = [...this.#ids].filter(
      ([name, id]) => id !== this.#last && !this.#addresses.get(name)?.size && !isUsed(name),
    );
    for (const [name] of unused) this.forget(name);
    return unused.map(([name]) => name);
  }

  /** The addresses that a name was set to. */
  addressesOf(fqdn: string): readonly string[] | undefined {
    const addresses = this.#addresses.get(canonical(fqdn));
    return addresses && [...addresses];
  }

  /** The name or pattern with this id. */
  withId(id: number): string | undefined {
    return this.#nameOf.get(id);
  }

  /** Takes a new name back: its id is not given again. */
  forget(fqdn: string): void {
    const name = canonical(fqdn);
    this.#nameOf.delete(this.#ids.get(name) ?? 0);
    this.#ids.delete(name);
  }

  #number(name: string, id: number): void {
    this.#ids.set(name, id);
    this.#nameOf.set(id, name);
  }

  /** How many more names fit. */
  get room(): number {
    return this.#room.names - this.#ids.size;
  }

  /** Throws LimitExceeded where not all of these fit beside those that have an id. */
  requireRoom(fqdns: Iterable<string>): void {
    const fresh = new Set([...fqdns].map(canonical)).difference(this.#ids);
    requireRoom('domain names of rules and addresses', this.#ids.size + fresh.size, this.#room.names, FEWER_NAMES);
  }

  /** Ids of a base name, for the kernel's table: of the name itself and of the pattern over it; 0 is none. */
  kernelIds(name: string): { exact: number; below: number } {
    const base = baseOf(canonical(name));
    return { exact: this.#ids.get(base) ?? 0, below: this.#ids.get(`*.${base}`) ?? 0 };
  }

  /** Every address of names under a pattern, for when the pattern is new. */
  underPattern(pattern: string): AddressChange {
    const base = canonical(pattern);
    const under = [...this.#addresses.keys()].filter((name) => name === base || patternsOver(name).includes(base));
    return this.#changes(under.flatMap((name) => [...(this.#addresses.get(name) ?? [])]));
  }

  /** Sets all addresses of a name. Throws LimitExceeded where an address would have too many names, or names too many addresses: nothing changes. */
  setAddresses(fqdn: string, addresses: readonly string[]): AddressChange {
    const name = canonical(fqdn);
    const before = this.#addresses.get(name);
    this.idOf(name);
    this.#assign(name, new Set(addresses));
    const changes = this.#changes([...(before ?? []), ...addresses]);
    const problem = problemOf(name, changes) ?? this.#tooManyAddresses();
    if (!problem) return changes;
    this.#assign(name, before);
    throw problem;
  }

  #tooManyAddresses(): LimitExceeded | undefined {
    const [wanted, most] = [this.#namesOf.size, this.#room.addresses];
    return wanted > most ? new LimitExceeded('addresses of domain names', wanted, most) : undefined;
  }

  removeAddresses(fqdn: string): AddressChange {
    const name = canonical(fqdn);
    const before = [...(this.#addresses.get(name) ?? [])];
    this.#assign(name, undefined);
    return this.#changes(before);
  }

  /** Name or pattern → addresses, in order of name. */
  /** How many names are known. */
  get size(): number {
    return this.#ids.size;
  }

  list(): [name: string, id: number, addresses: string[]][] {
    return [...this.#ids]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, id]) => [name, id, [...(this.#addresses.get(name) ?? [])]]);
  }

  /** The names that an address has, as the commands told them. */
  namesOf(address: string): readonly string[] {
    return [...(this.#namesOf.get(address) ?? [])];
  }

  #assign(name: string, addresses: ReadonlySet<string> | undefined): void {
    for (const address of this.#addresses.get(name) ?? []) {
      const names = this.#namesOf.get(address);
      names?.delete(name);
      if (names?.size === 0) this.#namesOf.delete(address);
    }
    if (addresses) this.#addresses.set(name, addresses);
    else this.#addresses.delete(name);
    for (const address of addresses ?? []) {
      const names = this.#namesOf.get(address) ?? new Set();
      this.#namesOf.set(address, names.add(name));
    }
  }

  #changes(addresses: readonly string[]): AddressChange {
    return new Map(addresses.map((address) => [address, this.#idsOfAddress(address)]));
  }

  #idsOfAddress(address: string): number[] {
    const names = [...(this.#namesOf.get(address) ?? [])];
    const matching = new Set(names.flatMap((name) => [name, ...patternsOver(name)]));
    return [...matching].flatMap((name) => this.#ids.get(name) ?? []).sort((a, b) => a - b);
  }
}

/** What does not fit the kernel's table of addresses. */
function problemOf(name: string, changes: AddressChange): LimitExceeded | undefined {
  const full = [...changes].find(([, ids]) => ids.length > NAMES_PER_ADDRESS);
  if (!full) return undefined;
  const [address, { length }] = full;
  return new LimitExceeded(`names of the address ${address}, with ${name}`, length, NAMES_PER_ADDRESS);
}
