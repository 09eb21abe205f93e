// The policies that dp confirmed, by the epoch that its reports call them by.
import type { ComputedPolicy } from '../policy/policy.ts';

/** Reports of a policy may come after the next one is in force. */
const KEPT = 8;

export type Revision = { readonly epoch: number; readonly computed: ComputedPolicy };

export class Revisions {
  readonly #byMac = new Map<string, readonly Revision[]>();

  add(mac: string, revision: Revision): void {
    const others = (this.#byMac.get(mac) ?? []).filter(({ epoch }) => epoch !== revision.epoch);
    this.#byMac.set(mac, [...others, revision].slice(-KEPT));
  }

  /** Undefined for a policy that this agent did not put in force, or long ago. */
  find(mac: string, epoch: number): ComputedPolicy | undefined {
    return this.#byMac.get(mac)?.find((revision) => revision.epoch === epoch)?.computed;
  }

  /** The one in force. */
  last(mac: string): Revision | undefined {
    return this.#byMac.get(mac)?.at(-1);
  }

  /** dp may have begun to count anew, so that epochs of before mean nothing. */
  clear(): void {
    this.#byMac.clear();
  }

  remove(mac: string): void {
    this.#byMac.delete(mac);
  }
}
