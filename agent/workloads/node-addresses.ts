// The node's own addresses, from which kubelet's probes come: of whichever interface leads to a workload.
import { networkInterfaces } from 'node:os';
import { isLinkLocal } from '../policy/ranges.ts';

const POLL_MS = 5000;

export class NodeAddresses implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #known = '';

  /** `onChange` is called where they are others than when they were last read. */
  constructor(onChange: () => void) {
    this.#timer = setInterval(() => {
      if (addresses().join() !== this.#known) onChange();
    }, POLL_MS);
  }

  /** As they are now, sorted. */
  read(): string[] {
    const found = addresses();
    this.#known = found.join();
    return found;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Neither loopback, which never reaches a workload, nor link-local ones, which come and go with workloads. */
function addresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const reachable = all.filter(({ internal, address }) => !internal && !isLinkLocal(address));
  return [...new Set(reachable.map(({ address }) => address))].sort();
}
