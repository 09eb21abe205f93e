// Writes this node's reports to etcd under a lease: each key at most once a second, all of them on a new connection.
import type { Entry, EtcdSession, KeyRange } from '../store/session.ts';

const LEASE_SECONDS = 15;
const MIN_INTERVAL_MS = 1000;

type Report = { text: string | undefined; written: string | undefined; writtenAt: number; isWriting: boolean };

export class ReportWriter {
  readonly #own: KeyRange;
  readonly #takeOver: (entries: readonly Entry[]) => void;
  readonly #reports = new Map<string, Report>();
  #isTakenOver = false;
  #session: EtcdSession | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writes = 0;

  /** `takeOver` is called once, before anything is written, with what an earlier run of this agent left. */
  constructor(prefix: string, takeOver: (entries: readonly Entry[]) => void) {
    this.#own = { key: prefix, isPrefix: true };
    this.#takeOver = takeOver;
  }

  /** How many keys were written or removed since the start. */
  get writes(): number {
    return this.#writes;
  }

  /** Undefined: the key goes. */
  set(key: string, value: object | undefined): void {
    const known = this.#reports.get(key);
    if (!known && !value) return;
    const report = known ?? { text: undefined, written: undefined, writtenAt: 0, isWriting: false };
    const text = value && JSON.stringify(value);
    if (text === report.text) return;
    report.text = text;
    this.#reports.set(key, report);
    this.#schedule();
  }

  /** Writes until the session ends. */
  async follow(session: EtcdSession): Promise<void> {
    if (!this.#isTakenOver) this.#takeOver((await session.list(this.#own)).entries);
    this.#isTakenOver = true;
    await session.grantLease(LEASE_SECONDS);
    for (const report of this.#reports.values()) report.written = undefined;
    this.#session = session;
    this.#schedule();
    await session.ended;
    this.#session = undefined;
    clearTimeout(this.#timer);
  }

  /** Removes all reports, so that it shows at once that this node no longer reports. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    clearTimeout(this.#timer);
    await session?.revokeLease();
  }

  /** Writes what is due, each key on its own: a workload that starts waits for no other's report. */
  #schedule(): void {
    const session = this.#session;
    if (!session) return;
    clearTimeout(this.#timer);
    let nextAt = Number.POSITIVE_INFINITY;
    for (const [key, report] of this.#reports) {
      if (report.isWriting || !isChanged(report)) continue;
      const dueAt = report.writtenAt + MIN_INTERVAL_MS;
      if (dueAt <= Date.now()) void this.#write(session, key, report);
      else nextAt = Math.min(nextAt, dueAt);
    }
    if (nextAt < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#schedule(), nextAt - Date.now());
  }

  async #write(session: EtcdSession, key: string, report: Report): Promise<void> {
    const { text } = report;
    report.isWriting = true;
    report.writtenAt = Date.now();
    try {
      if (text === undefined) await session.delete(key);
      else await session.put(key, text);
      this.#writes += 1;
      if (session !== this.#session) return; // to the next one, all is written again
      report.written = text;
      if (text === undefined && report.text === undefined) this.#reports.delete(key);
    } catch {
      // The session has ended with the reason; on the next one all is written again.
    } finally {
      report.isWriting = false;
      this.#schedule();
    }
  }
}

const isChanged = ({ text, written }: Report): boolean => text !== written;
