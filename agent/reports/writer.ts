// Writes this node's reports to etcd under a lease: each key at most once a second, all of them on a new connection.
import type { Entry, EtcdSession, KeyRange } from '../store/session.ts';

const LEASE_SECONDS = 15;
const MIN_INTERVAL_MS = 1000;

type Report = { text: string | undefined; written: string | undefined; writtenAt: number };

export class ReportWriter {
  readonly #own: KeyRange;
  readonly #takeOver: (entries: readonly Entry[]) => void;
  readonly #reports = new Map<string, Report>();
  #isTakenOver = false;
  #session: EtcdSession | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;

  /** `takeOver` is called once, before anything is written, with what an earlier run of this agent left. */
  constructor(prefix: string, takeOver: (entries: readonly Entry[]) => void) {
    this.#own = { key: prefix, isPrefix: true };
    this.#takeOver = takeOver;
  }

  /** Undefined: the key goes. */
  set(key: string, value: object | undefined): void {
    const known = this.#reports.get(key);
    if (!known && !value) return;
    const report = known ?? { text: undefined, written: undefined, writtenAt: 0 };
    report.text = value && JSON.stringify(value);
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

  #schedule(): void {
    if (!this.#session || this.#isWriting) return;
    clearTimeout(this.#timer);
    const due = [...this.#reports.values()].filter(isChanged).map(({ writtenAt }) => writtenAt + MIN_INTERVAL_MS);
    if (due.length === 0) return;
    this.#timer = setTimeout(() => void this.#write(), Math.max(0, Math.min(...due) - Date.now()));
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      for (const [key, report] of this.#reports)
        if (isChanged(report) && report.writtenAt + MIN_INTERVAL_MS <= Date.now()) await this.#writeOne(key, report);
    } catch {
      // The session has ended with the reason; on the next one all is written again.
    } finally {
      this.#isWriting = false;
      this.#schedule();
    }
  }

  async #writeOne(key: string, report: Report): Promise<void> {
    const { text } = report;
    report.writtenAt = Date.now();
    if (text === undefined) await this.#session?.delete(key);
    else await this.#session?.put(key, text);
    report.written = text;
    if (text === undefined && report.text === undefined) this.#reports.delete(key);
  }
}

const isChanged = ({ text, written }: Report): boolean => text !== written;
