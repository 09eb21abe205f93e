// Reads dp's reports as an agent does, and keeps only counts of them: there may be millions.
import { CommandSocket } from '../kernel/command-socket.ts';
import { Changes } from '../lab/waiting.ts';
import { decodeReport, ERROR_CODE, MAX_REPORT_BYTES, type Report } from '../protocol/reports.ts';

export class ReportReader implements AsyncDisposable {
  readonly #socket: CommandSocket;
  readonly #reading: Promise<void>;
  readonly changes = new Changes();
  /** Errors of commands. */
  errors = 0;
  /** As dp says in its own reports. */
  lost = 0;
  /** As the numbers of the reports show: the keep-alives among the lost have none. */
  missing = 0;
  realized = 0;
  /** The last answer's. */
  keepAlive: number | undefined;
  readonly codes = new Set<number>();
  #sequence: number | undefined;

  constructor(path: string) {
    this.#socket = CommandSocket.bind(path, MAX_REPORT_BYTES);
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const { data } of this.#socket.datagrams()) {
      const { report, sequence } = decodeReport(data);
      this.#count(report, sequence);
      this.changes.happened();
    }
  }

  #count(report: Report, sequence: number): void {
    if (report.kind === 'keepAlive') {
      this.keepAlive = report.sequence;
      return;
    }
    if (this.#sequence !== undefined) this.missing += sequence - this.#sequence - 1;
    this.#sequence = sequence;
    if (report.kind === 'policyRealized') this.realized += 1;
    if (report.kind !== 'error') return;
    this.codes.add(report.code);
    if (report.code === ERROR_CODE.reportsLost) this.lost += Number(/^(\d+) reports/.exec(report.text)?.[1] ?? 0);
    else this.errors += 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket[Symbol.dispose]();
    await this.#reading;
  }
}
