// For tests: real TCP connections between a workload and its host, and what of them arrives.
import { EndProcess, type Place } from './end-process.ts';
import type { FromTcpEnd, TcpOrder } from './tcp-end.ts';

export type Role = 'workload' | 'host';

class TcpEnd implements AsyncDisposable {
  readonly ip: string;
  readonly #process: EndProcess<FromTcpEnd>;
  readonly #answers = new Map<number, string | undefined>();
  readonly #heard = new Map<number, string>();
  readonly #ended = new Set<number>();
  readonly #closed = new Set<number>();
  #orders = 0;

  constructor(place: Place) {
    this.ip = place.ip;
    this.#process = new EndProcess(place, 'tcp-end.ts', [place.ip], (message) => this.#take(message));
  }

  #take(message: FromTcpEnd): void {
    if ('id' in message) this.#answers.set(message.id, message.error);
    else if ('text' in message) this.#heard.set(message.from, this.heard(message.from) + message.text);
    else if ('isEnded' in message) this.#ended.add(message.from);
    else this.#closed.add(message.from);
  }

  /** From now on, a connection of this client's port is another than before. */
  begin(from: number): void {
    for (const set of [this.#ended, this.#closed]) set.delete(from);
    this.#heard.delete(from);
  }

  /** Throws where the order can't be carried out. */
  async order(order: TcpOrder): Promise<void> {
    this.#orders += 1;
    const id = this.#orders;
    this.#process.send({ id, order });
    const answer = await this.#process.changes.until(
      () => `an end of the network to ${JSON.stringify(order)}`,
      () => (this.#answers.has(id) ? { error: this.#answers.get(id) } : undefined),
    );
    if (answer.error !== undefined) throw new Error(answer.error);
  }

  /** All that has arrived of a connection. */
  heard(from: number): string {
    return this.#heard.get(from) ?? '';
  }

  hears(from: number, text: string): Promise<true> {
    return this.#process.changes.until(
      () => `${text.slice(0, 40)} to arrive; there came: ${this.heard(from).slice(-100)}`,
      () => this.heard(from).endsWith(text) || undefined,
    );
  }

  /** Waits until nothing is left of the connection here. */
  closes(from: number): Promise<true> {
    return this.#process.changes.until(
      () => `the connection of port ${from} to be closed`,
      () => this.#closed.has(from) || undefined,
    );
  }

  /** Waits until the other side has ended what it sends. */
  hearsEnd(from: number): Promise<true> {
    return this.#process.changes.until(
      () => `the end of what comes from the connection of port ${from}`,
      () => this.#ended.has(from) || undefined,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

export class TcpPair implements AsyncDisposable {
  readonly #ends: Readonly<Record<Role, TcpEnd>>;
  #count = 0;

  constructor(workload: Place, host: Place) {
    this.#ends = { workload: new TcpEnd(workload), host: new TcpEnd(host) };
  }

  async listen(server: Role, port: number): Promise<void> {
    await this.#ends[server].order({ listen: port });
  }

  async unlisten(server: Role, port: number): Promise<void> {
    await this.#ends[server].order({ unlisten: port });
  }

  /** The client's port names the connection from here on. Throws where it is not let through in 20 s. */
  async open(client: Role, from: number, port: number): Promise<void> {
    for (const end of Object.values(this.#ends)) end.begin(from);
    await this.#ends[client].order({ connect: port, to: this.#ends[other(client)].ip, from });
  }

  async say(speaker: Role, from: number, text: string): Promise<void> {
    await this.#ends[speaker].order({ from, text });
  }

  /** Sends a text that was not sent before, and waits until it arrives. */
  async passes(speaker: Role, from: number, text = this.#text()): Promise<void> {
    await this.say(speaker, from, text);
    await this.#ends[other(speaker)].hears(from, text);
  }

  /** Whether a text has not arrived: on one CPU, by the time that it is sent it has arrived or was dropped. */
  async isCut(speaker: Role, from: number, text = this.#text()): Promise<boolean> {
    const listener = this.#ends[other(speaker)];
    await this.say(speaker, from, text);
    await listener.order({ settle: true });
    return !listener.heard(from).includes(text);
  }

  heard(listener: Role, from: number): string {
    return this.#ends[listener].heard(from);
  }

  /** Ends what one side sends, and waits until the other has seen it. */
  async end(speaker: Role, from: number): Promise<void> {
    await this.#ends[speaker].order({ from });
    await this.#ends[other(speaker)].hearsEnd(from);
  }

  /** Waits until nothing is left of the connection on this side. */
  async hasClosed(role: Role, from: number): Promise<void> {
    await this.#ends[role].closes(from);
  }

  async abort(speaker: Role, from: number): Promise<void> {
    await this.#ends[speaker].order({ abort: from });
  }

  #text(): string {
    this.#count += 1;
    return `text ${this.#count};`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ends.workload[Symbol.asyncDispose]();
    await this.#ends.host[Symbol.asyncDispose]();
  }
}

const other = (role: Role): Role => (role === 'workload' ? 'host' : 'workload');
