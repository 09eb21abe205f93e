// The policies that the kernel holds: each distinct one once, however many workloads have it.
import { createHash } from 'node:crypto';
import { LimitExceeded, requireRoom } from '../limits.ts';
import type { Datapath } from './datapath.ts';
import { SparePolicies } from './spare-policies.ts';

/** Index 0 of `policies` is no policy. */
export const NO_POLICY = 0;

/** A packet takes microseconds; this is far beyond any grace period of the kernel's. */
const GRACE_MS = 1000;

type Slot = { users: number; readonly digest: string; removal?: NodeJS.Timeout };

export class PolicySlots {
  readonly #datapath: Datapath;
  /** Of the kernel's table. */
  readonly #room: number;
  readonly #slots = new Map<number, Slot>();
  readonly #spares = new SparePolicies();
  readonly #byDigest = new Map<string, number>();
  readonly #digests = new WeakMap<Uint8Array, string>();

  /** `inUse`: the indexes that an earlier dp's workloads have, once each workload. */
  constructor(datapath: Datapath, inUse: readonly number[]) {
    this.#datapath = datapath;
    this.#room = datapath.policyRoom();
    for (const index of inUse.filter((used) => used !== NO_POLICY)) {
      const slot = this.#slots.get(index);
      this.#slots.set(index, { users: (slot?.users ?? 0) + 1, digest: '' });
    }
    for (let index = 1; index < this.#room; index++) if (!this.#slots.has(index)) datapath.removePolicy(index);
  }

  /** The index of a policy with this blob, for one more workload. Throws LimitExceeded, or the kernel's error. */
  take(blob: Uint8Array): number {
    const digest = this.#digestOf(blob);
    const same = this.#byDigest.get(digest);
    const slot = same === undefined ? undefined : this.#slots.get(same);
    if (same !== undefined && slot) {
      // Else it would go by the time that began when it was last let go of.
      clearTimeout(slot.removal);
      slot.users += 1;
      return same;
    }
    const index = this.#spares.reuse(blob) ?? this.#install(blob);
    this.#slots.set(index, { users: 1, digest });
    this.#byDigest.set(digest, index);
    return index;
  }

  /** Throws LimitExceeded where these do not all fit beside what is in use, and what was until a moment ago. */
  checkRoom(blobs: readonly Uint8Array[]): void {
    const fresh = new Set(blobs.map((blob) => this.#digestOf(blob))).difference(this.#byDigest);
    const what = 'different policies in the kernel, with those that are being replaced';
    const advice = 'workloads with the same rules share one';
    requireRoom(what, this.#slots.size + fresh.size, this.#room - 1, advice);
  }

  #install(blob: Uint8Array): number {
    const index = this.#free();
    this.#spares.hold(index, this.#datapath.installPolicy(index, blob), blob.length);
    return index;
  }

  /** A command's workloads have the very same blob. */
  #digestOf(blob: Uint8Array): string {
    const digest = this.#digests.get(blob) ?? createHash('sha256').update(blob).digest('base64');
    this.#digests.set(blob, digest);
    return digest;
  }

  /** One workload less has it. With the last it leaves the kernel, but only once no packet can be in the middle of it. */
  release(index: number): void {
    const slot = this.#slots.get(index);
    if (!slot) return;
    slot.users -= 1;
    if (slot.users === 0) slot.removal = setTimeout(() => this.#remove(index, slot), GRACE_MS).unref();
  }

  #remove(index: number, { digest }: Slot): void {
    this.#slots.delete(index);
    this.#byDigest.delete(digest);
    if (!this.#spares.keep(index)) this.#datapath.removePolicy(index);
  }

  #free(): number {
    for (let index = 1; index < this.#room; index++)
      if (!this.#slots.has(index) && !this.#spares.has(index)) return index;
    const spare = this.#spares.giveUp();
    if (spare !== undefined) return spare;
    throw new LimitExceeded('different policies in the kernel', this.#room, this.#room - 1);
  }
}
