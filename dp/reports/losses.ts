// What the kernel programs, or dp, had no room for: counted, and told to the agent.
import { counter } from '../kernel/abi.gen.ts';
import type { Datapath } from '../kernel/datapath.ts';
import { ERROR_CODE, NO_MAC, type Report } from '../protocol/reports.ts';

/** Sums since the tables were made: events that the ring buffer, hits and flows that their tables had no room for. */
export type KernelLosses = { readonly events: bigint; readonly hits: bigint; readonly flows: bigint };

export class Losses {
  readonly #datapath: Datapath;
  #told: KernelLosses;
  #reports = 0;
  #allReports = 0;

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
    this.#told = this.inKernel();
  }

  inKernel(): KernelLosses {
    return {
      events: this.#datapath.counter(counter.eventsLost),
      hits: this.#datapath.counter(counter.hitsLost),
      flows: this.#datapath.counter(counter.flowsLost),
    };
  }

  /** Reports that dp itself could not send. */
  add(reports: number): void {
    this.#reports += reports;
    this.#allReports += reports;
  }

  /** Of reports that dp itself could not send, all since it started. */
  get reports(): number {
    return this.#allReports;
  }

  /** What was lost since the last call, an ERROR report each; `seconds`: how long that is, `reports`: how many it says were lost. */
  collect(seconds: number): { readonly report: Report; readonly reports: number }[] {
    const now = this.inKernel();
    const reports = this.#reports + Number(now.events - this.#told.events);
    const kernelTexts = [
      now.hits > this.#told.hits &&
        `${now.hits - this.#told.hits} hits lost in the last ${seconds} s: their table is full`,
      now.flows > this.#told.flows &&
        `${now.flows - this.#told.flows} flows not remembered in the last ${seconds} s: their table took no more`,
    ].filter((text) => text !== false);
    this.#told = now;
    this.#reports = 0;
    const text = `${reports} reports lost in the last ${seconds} s: there were more than can be sent`;
    return [
      ...(reports > 0 ? [{ report: lossReport(text), reports }] : []),
      ...kernelTexts.map((one) => ({ report: lossReport(one), reports: 0 })),
    ];
  }
}

const lossReport = (text: string): Report => ({
  kind: 'error',
  code: ERROR_CODE.reportsLost,
  command: 0,
  mac: NO_MAC,
  text,
});
