// Policies in the kernel that no workload has any more, kept to be written over: to put a new one there or to take one
// away has the kernel wait for every packet that is under way, some 10 ms each.
import { close, fillMap } from './libc.ts';

/** Of those kept without use. */
const MAX_BYTES = 1 << 22;
const MAX_SPARES = 64;
/** Of all whose maps are held open: a process has a limit of files. */
const MAX_HELD = 256;
/** How much larger than what is written there. */
const MAX_WASTE = 2;
const SMALL_BYTES = 4096;

type Held = { readonly fd: number; readonly bytes: number };

export class SparePolicies {
  readonly #held = new Map<number, Held>();
  readonly #spares = new Set<number>();
  #bytes = 0;

  /** A policy that is in use, and may be kept later. */
  hold(index: number, fd: number, bytes: number): void {
    const before = this.#held.get(index);
    if (before) close(before.fd);
    this.#held.delete(index);
    if (this.#held.size < MAX_HELD) this.#held.set(index, { fd, bytes });
    else close(fd);
  }

  /** For one that no packet can be in the middle of any more. False where there is no room for it: it has to be removed. */
  keep(index: number): boolean {
    const held = this.#held.get(index);
    if (!held) return false;
    if (this.#spares.size < MAX_SPARES && this.#bytes + held.bytes <= MAX_BYTES) {
      this.#spares.add(index);
      this.#bytes += held.bytes;
      return true;
    }
    this.#held.delete(index);
    close(held.fd);
    return false;
  }

  has(index: number): boolean {
    return this.#spares.has(index);
  }

  /** Writes a policy over one that is large enough; what lies behind its end is never reached. Undefined where none is. */
  reuse(blob: Uint8Array): number | undefined {
    const most = Math.max(blob.length * MAX_WASTE, SMALL_BYTES);
    for (const index of this.#spares) {
      const held = this.#held.get(index);
      if (!held || held.bytes < blob.length || held.bytes > most) continue;
      fillMap(held.fd, blob);
      this.#take(index, held);
      return index;
    }
    return undefined;
  }

  /** An index whose policy may be replaced. */
  giveUp(): number | undefined {
    const [index] = this.#spares;
    const held = index === undefined ? undefined : this.#held.get(index);
    if (index !== undefined && held) this.#take(index, held);
    return index;
  }

  #take(index: number, { bytes }: Held): void {
    this.#spares.delete(index);
    this.#bytes -= bytes;
  }
}
