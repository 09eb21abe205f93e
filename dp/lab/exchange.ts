// For tests: unbroken traffic from a workload to its host: what is asked must be answered, and what is denied must not.
import { EndProcess, type Place } from './end-process.ts';

const SCRIPT = 'exchange-end.ts';
/** Others than a lab’s other traffic uses. */
export const ASKED_PORT = 7101;
export const DENIED_PORT = 7102;

export type Told = { readonly isOver: true };
/**
 * `rounds` so far: each a datagram from a new port, and a message on the TCP connection and on the lasting UDP flow;
 * `flows`: how many UDP flows that were, as a port may have come twice.
 */
export type Said =
  /** The server can be asked; the client is over. */
  | { readonly isReady: true }
  | { readonly rounds: number; readonly flows: number }
  | { readonly lost: string }
  | { readonly passed: string };

export type Result = {
  readonly rounds: number;
  /** Allowed UDP flows. */
  readonly flows: number;
  readonly lost: readonly string[];
  readonly passed: readonly string[];
};

export class Exchange implements AsyncDisposable {
  readonly #server: EndProcess<Said>;
  readonly #serverSaid: Said[] = [];
  #client: EndProcess<Said> | undefined;
  readonly #clientSaid: Said[] = [];

  constructor(host: Place) {
    this.#server = new EndProcess(host, SCRIPT, ['server', host.ip], (said) => this.#serverSaid.push(said));
  }

  /** Begins; answers once the first round is over. */
  async begin(workload: Place, host: Place): Promise<void> {
    await this.#server.changes.until(
      () => 'the server of the exchange',
      () => this.#serverSaid.length > 0 || undefined,
    );
    this.#client = new EndProcess(workload, SCRIPT, ['client', host.ip], (said) => this.#clientSaid.push(said));
    await this.rounds(1);
  }

  /** Waits for more rounds to be over. */
  async rounds(more: number): Promise<void> {
    const until = this.result.rounds + more;
    await this.#client?.changes.until(
      () => `rounds of the exchange; it said ${JSON.stringify(this.#clientSaid.slice(-3))}`,
      () => (this.result.rounds >= until || this.result.lost.length > 0 ? true : undefined),
    );
  }

  /** Ends after the round that is under way. */
  async end(): Promise<Result> {
    const told: Told = { isOver: true };
    this.#client?.send(told);
    await this.#client?.changes.until(
      () => 'the exchange to end',
      () => this.#clientSaid.some((said) => 'isReady' in said) || undefined,
    );
    await this.#client?.[Symbol.asyncDispose]();
    return this.result;
  }

  get result(): Result {
    const said = [...this.#clientSaid, ...this.#serverSaid];
    const last = said.findLast((one) => 'rounds' in one);
    return {
      rounds: last?.rounds ?? 0,
      flows: last?.flows ?? 0,
      lost: said.flatMap((one) => ('lost' in one ? [one.lost] : [])),
      passed: said.flatMap((one) => ('passed' in one ? [one.passed] : [])),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}
