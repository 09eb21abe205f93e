// The addresses that the kernel programs learn of rules' names from DNS answers: what is known, what is kept, what is swept.
import {
  type Address,
  LEARNT_BLOCKS,
  type LearntBlock,
  type LearntKey,
  SWEEP_TICKS,
  TICK_SHIFT,
} from '../kernel/abi.gen.ts';
import { kernelAddressOf, textOf } from '../kernel/address.ts';
import type { Datapath } from '../kernel/datapath.ts';

/** An address that flows use is kept for so long from then on, once it would else end sooner: a minute. */
export const KEEP_TICKS = 56;
const NAME_SHIFT = 32n;
const END_MASK = 0xffff_ffffn;
const TICK_NS = 2 ** TICK_SHIFT;

/** `end`: the tick until which new connections to the address count as to the name. `isKept`: beyond its TTL, as flows use it. */
export type LearntAddress = {
  readonly address: string;
  readonly name: number;
  readonly end: number;
  readonly isKept: boolean;
};
/** A flow that a rule for a name lets pass. */
export type Use = { readonly address: Address; readonly name: number };

export const nowTicks = (): number => Number(process.hrtime.bigint() >> BigInt(TICK_SHIFT));
export const secondsUntil = (end: number, now: number): number =>
  Math.max(0, Math.round(((end - now) * TICK_NS) / 1e9));

type Slot = { readonly name: number; readonly end: number };

const slotsOf = ({ slots }: LearntBlock): Slot[] =>
  slots.flatMap((slot) => (slot === 0n ? [] : [{ name: Number(slot >> NAME_SHIFT), end: Number(slot & END_MASK) }]));

const isOver = (block: LearntBlock, now: number): boolean =>
  slotsOf(block).every(({ end }) => end + SWEEP_TICKS <= now);

export class LearntAddresses {
  readonly #datapath: Datapath;
  /** Address and id of what was kept, with its end. */
  readonly #kept = new Map<string, number>();

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
  }

  /** All that count now, in no order. */
  all(now = nowTicks()): LearntAddress[] {
    return this.#datapath.learntAddresses.entries().flatMap(([{ address }, block]) => {
      const text = textOf(address);
      return slotsOf(block)
        .filter(({ end }) => end > now)
        .map((slot) => ({ address: text, ...slot, isKept: this.#kept.get(keyOf(text, slot.name)) === slot.end }));
    });
  }

  /** The ids of the names that an address has now. */
  namesOf(text: string, now = nowTicks()): number[] {
    return this.#slotsOf(kernelAddressOf(text)).flatMap(({ name, end }) => (end > now ? name : []));
  }

  /** Has addresses that flows use count for longer, where they would soon end. */
  keep(uses: Iterable<Use>, now = nowTicks()): void {
    for (const [key, end] of this.#kept) if (end + SWEEP_TICKS <= now) this.#kept.delete(key);
    const seen = new Set<string>();
    for (const { address, name } of uses) {
      const key = keyOf(textOf(address), name);
      if (seen.has(key)) continue;
      seen.add(key);
      const slot = this.#slotsOf(address).find((one) => one.name === name);
      if (!slot || slot.end <= now || slot.end >= now + KEEP_TICKS) continue;
      if (this.#datapath.keepAddress(address, name, now + KEEP_TICKS)) this.#kept.set(key, now + KEEP_TICKS);
    }
  }

  /**
   * Gives back the room of what ended long ago; answers how many entries went. The last block of an address goes first, as a
   * free slot or a missing block is the end of all; what a program renewed in the same moment is put back.
   */
  sweep(now = nowTicks()): number {
    const byAddress = Map.groupBy(this.#datapath.learntAddresses.entries(), ([{ address }]) => textOf(address));
    let swept = 0;
    for (const blocks of byAddress.values())
      for (const [key, block] of blocks.toSorted(([a], [b]) => b.block - a.block)) {
        if (!isOver(block, now) || !this.#remove(key, now)) break;
        swept += 1;
      }
    return swept;
  }

  /** False where it was renewed meanwhile. */
  #remove(key: LearntKey, now: number): boolean {
    const block = this.#datapath.learntAddresses.take(key);
    if (!block || isOver(block, now)) return true;
    for (const { name, end } of slotsOf(block)) this.#datapath.keepAddress(key.address, name, end);
    return false;
  }

  #slotsOf(address: Address): Slot[] {
    const slots: Slot[] = [];
    for (let block = 0; block < LEARNT_BLOCKS; block += 1) {
      const found = this.#datapath.learntAddresses.get({ address, block });
      if (!found) break;
      slots.push(...slotsOf(found));
    }
    return slots;
  }
}

const keyOf = (address: string, name: number): string => `${address} ${name}`;
