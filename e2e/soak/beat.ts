// When each workload sends what: one workload after the other, all of them twice a second.
import type { Expectation } from './books.ts';
import type { Traffic } from './traffic.ts';

const ROUND_MS = 500;
/** A process that was held up does not make up for more than this at once: receivers are to keep pace. */
const MOST_AT_ONCE = 50;
const LONGER_ROUND = 4;

export class Beat {
  static readonly everyMs = 10;
  readonly #traffic: Traffic;
  readonly #probe: (workload: number) => Expectation;
  readonly #started = performance.now();
  #done = 0;
  /** Beats that were left out. */
  #skipped = 0;

  constructor(traffic: Traffic, probe: (workload: number) => Expectation) {
    this.#traffic = traffic;
    this.#probe = probe;
  }

  /** What is due until then, in ms of performance.now(). */
  catchUp(now: number): void {
    const { workloads } = this.#traffic;
    const due = Math.floor(((now - this.#started) / ROUND_MS) * workloads) - this.#skipped;
    const count = Math.min(due - this.#done, MOST_AT_ONCE);
    this.#skipped += due - this.#done - count;
    for (let i = 0; i < count; i++) {
      this.#send(this.#done % workloads, Math.floor(this.#done / workloads));
      this.#done += 1;
    }
  }

  #send(i: number, round: number): void {
    const traffic = this.#traffic;
    traffic.sendLong(i, 'steady');
    traffic.sendLong(i, 'inbound');
    traffic.sendLong(i, 'probe', this.#probe(i));
    if (round % 2 === 0) {
      traffic.sendLong(i, 'named');
      traffic.sendLong(i, 'denied');
      traffic.sendShort(i, 'newAllowed');
    } else {
      traffic.sendLine(i);
      traffic.sendLong(i, 'deniedInbound');
      traffic.sendShort(i, 'newDenied');
    }
    if (round % LONGER_ROUND === 0) traffic.sendShort(i, 'newUnmatched');
  }
}
