// Reports of what was learnt: FQDN_UPDATE for each name whose addresses changed, IP_FQDN_STORAGE_UPDATE for each new one.
import { packAddress } from '../protocol/address.ts';
import type { Report } from '../protocol/reports.ts';
import { type LearntAddress, nowTicks, secondsUntil } from './learnt-addresses.ts';

/** Of one report: 24 bytes each. */
const MAX_ADDRESSES = 1024;
/** Of one collection; the rest comes with the next one. */
const MAX_REPORTS = 500;

export class Announcements {
  readonly #nameOf: (id: number) => string | undefined;
  /** By name: the addresses that were told, with their ends. */
  #told = new Map<string, ReadonlyMap<string, number>>();

  constructor(nameOf: (id: number) => string | undefined) {
    this.#nameOf = nameOf;
  }

  /** Somebody else may listen now: all is told again. */
  forgetTold(): void {
    this.#told = new Map();
  }

  /** What is news since the last call. A name that has no address any more is told with none. */
  collect(learnt: readonly LearntAddress[], now = nowTicks()): Report[] {
    const byName = new Map<string, Map<string, number>>();
    for (const { address, name: id, end } of learnt) {
      const name = this.#nameOf(id);
      if (name === undefined) continue;
      const addresses = byName.get(name) ?? new Map<string, number>();
      byName.set(name, addresses.set(address, end));
    }
    const reports: Report[] = [];
    for (const name of new Set([...byName.keys(), ...this.#told.keys()])) {
      if (reports.length >= MAX_REPORTS) break;
      reports.push(...this.#newsOf(name, byName.get(name) ?? new Map(), now));
    }
    return reports;
  }

  #newsOf(name: string, addresses: ReadonlyMap<string, number>, now: number): Report[] {
    const told = this.#told.get(name);
    if (told && told.size === addresses.size && [...addresses].every(([address, end]) => told.get(address) === end))
      return [];
    if (addresses.size > 0) this.#told.set(name, addresses);
    else this.#told.delete(name);
    const fresh = [...addresses.keys()].filter((address) => !told?.has(address));
    return [updateOf(name, addresses, now), ...fresh.map((address) => storageOf(name, address))];
  }
}

function updateOf(name: string, addresses: ReadonlyMap<string, number>, now: number): Report {
  const entries = [...addresses].slice(0, MAX_ADDRESSES).map(([address, end]) => {
    const { etherType, bytes } = packAddress(address);
    return { etherType, address: bytes, seconds: secondsUntil(end, now) };
  });
  return { kind: 'fqdnUpdate', name, flags: 0, addresses: entries };
}

function storageOf(name: string, address: string): Report {
  const { etherType, bytes } = packAddress(address);
  return { kind: 'ipFqdnStorageUpdate', entry: { etherType, address: bytes, name } };
}
