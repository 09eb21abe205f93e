// Traffic between a workload and a peer of a lab while something else happens to Podwall, and what became of it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import type { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import type { Report } from './client.ts';

const READY_TIMEOUT_MS = 10_000;
const PROGRESS_TIMEOUT_MS = 20_000;
/** What counts as traffic going on: 100 more answers at 10 ms each. */
const PROGRESS_ANSWERS = 100;
const PROGRESS_FRESH = 20;

/** The peer's side; one for a whole lab. */
export class TrafficServer {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  static async start(lab: Lab, peer: Namespace): Promise<TrafficServer> {
    const server = await lab.start('traffic-server', peer, [process.execPath, join(import.meta.dirname, 'server.ts')]);
    const isReady = async () => (await server.log()).startsWith('ready') || undefined;
    await waitFor('the peer to listen', isReady, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
    return new TrafficServer(server);
  }

  /** How many packets have arrived on denied ports so far. */
  async arrived(): Promise<number> {
    return (await this.#process.log()).split('\n').filter((line) => line.startsWith('arrived')).length;
  }
}

export class Traffic {
  readonly #lab: Lab;
  readonly #process: LabProcess;

  private constructor(lab: Lab, process: LabProcess) {
    this.#lab = lab;
    this.#process = process;
  }

  /** `name` is that of its log, one for each traffic of a lab. */
  static async start(lab: Lab, name: string, workload: Namespace, host: string): Promise<Traffic> {
    const client = [process.execPath, join(import.meta.dirname, 'client.ts'), host] as const;
    return new Traffic(lab, await lab.start(name, workload, client));
  }

  /** Resolves once `enough` is true of how far it has got. */
  async until(what: string, enough: (now: Report) => boolean): Promise<Report> {
    const attempt = async () => {
      const now = await this.#last();
      return now && enough(now) ? now : undefined;
    };
    return waitFor(`traffic: ${what}`, attempt, { timeoutMs: PROGRESS_TIMEOUT_MS, signal: this.#lab.signal });
  }

  /** Resolves once many more requests of every kind have been answered. */
  async goesOn(): Promise<void> {
    const { tcp, udp, fresh } = await this.until('to begin', ({ fresh }) => fresh.answered > 0);
    await this.until(
      'more answers of every kind',
      (now) =>
        now.tcp.answered >= tcp.answered + PROGRESS_ANSWERS &&
        now.udp.answered >= udp.answered + PROGRESS_ANSWERS &&
        now.fresh.answered >= fresh.answered + PROGRESS_FRESH,
    );
  }

  /** Ends it, and returns all that it did. */
  async end(): Promise<Report> {
    await this.#process.stop();
    const report = await this.#last();
    assert.ok(report?.isFinal, 'the traffic client was killed before it had told all');
    return report;
  }

  async #last(): Promise<Report | undefined> {
    const line = (await this.#process.log()).split('\n').at(-2); // what follows the last line feed is not whole yet
    return line === undefined ? undefined : JSON.parse(line);
  }
}
