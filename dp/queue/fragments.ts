// A later fragment has no ports: it follows the verdict of its packet's first one (bpf/include/fragment.h).
import type { Packet } from './packet.ts';

/** 60 s and some: no receiver waits longer for a fragment. */
const FRAGMENT_TICKS = 60;
const MAX_FRAGMENTS = 4096;

export class FragmentVerdicts {
  readonly #verdicts = new Map<string, { readonly passes: boolean; readonly at: number }>();

  remember(first: Packet, endpoint: number, passes: boolean, now: number): void {
    const name = nameOf(first, endpoint);
    this.#verdicts.delete(name);
    this.#verdicts.set(name, { passes, at: now });
    const [oldest] = this.#verdicts.keys();
    if (this.#verdicts.size > MAX_FRAGMENTS && oldest !== undefined) this.#verdicts.delete(oldest);
  }

  /** Undefined where the first one was not seen, or long ago. */
  verdict(later: Packet, endpoint: number, now: number): boolean | undefined {
    const first = this.#verdicts.get(nameOf(later, endpoint));
    return first && now - first.at <= FRAGMENT_TICKS ? first.passes : undefined;
  }
}

/** IPv6 tells packets apart without the protocol, and only the first fragment has it for sure. */
const nameOf = ({ source, destination, fragmentId, protocol, isIpv6 }: Packet, endpoint: number): string =>
  `${endpoint}/${source}/${destination}/${fragmentId}/${isIpv6 ? 0 : protocol}`;
