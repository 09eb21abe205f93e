// For tests: real datagrams between a workload and its host, and whether they arrive.
import { EndProcess, type Place } from './end-process.ts';
import type { FromEnd, ToEnd } from './udp-end.ts';

/** What every policy of a test must let through, both ways: a denied datagram is known by what is sent after it. */
export const CONTROL_PORT = 7000;
export const PORTS = [CONTROL_PORT, 7001, 7002, 7003] as const;

class End implements AsyncDisposable {
  readonly ip: string;
  readonly #process: EndProcess<FromEnd>;
  readonly #texts = new Set<string>();
  #isReady = false;

  constructor(place: Place) {
    this.ip = place.ip;
    this.#process = new EndProcess(place, 'udp-end.ts', [place.ip, ...PORTS.map(String)], (message) => {
      if ('isReady' in message) this.#isReady = true;
      else this.#texts.add(message.text);
    });
  }

  ready(): Promise<true> {
    return this.#process.changes.until(
      () => 'an end of the network',
      () => this.#isReady || undefined,
    );
  }

  async begin(): Promise<void> {
    this.#isReady = false;
    this.send({ isAnew: true });
    await this.ready();
  }

  send(message: ToEnd): void {
    this.#process.send(message);
  }

  has(text: string): boolean {
    return this.#texts.has(text);
  }

  received(text: string): Promise<true> {
    return this.#process.changes.until(
      () => `a datagram to arrive at ${this.ip}`,
      () => this.has(text) || undefined,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

export class Traffic implements AsyncDisposable {
  readonly #workload: End;
  readonly #host: End;
  #count = 0;

  private constructor(workload: End, host: End) {
    this.#workload = workload;
    this.#host = host;
  }

  static async start(workload: Place, host: Place): Promise<Traffic> {
    const traffic = new Traffic(new End(workload), new End(host));
    await Promise.all([traffic.#workload.ready(), traffic.#host.ready()]);
    return traffic;
  }

  /** Begins new connections: both ends send from other ports than before. */
  async begin(): Promise<void> {
    await Promise.all([this.#workload.begin(), this.#host.begin()]);
  }

  /** Whether the workload’s datagram to a port of the host arrives. */
  out(port: number): Promise<boolean> {
    return this.#passes(this.#workload, this.#host, port);
  }

  /** Whether the host’s datagram to a port of the workload arrives. */
  in(port: number): Promise<boolean> {
    return this.#passes(this.#host, this.#workload, port);
  }

  /** Whether datagrams arrive: out to 7001, out to 7002, in to 7001, in to 7002. */
  async verdicts(): Promise<boolean[]> {
    return [await this.out(7001), await this.out(7002), await this.in(7001), await this.in(7002)];
  }

  /** Whether a text arrives at a port of the host that `send` has the workload send there by other means. */
  async arrives(text: string, send: (text: string) => void): Promise<boolean> {
    send(text);
    return this.#hasArrived(text, this.#workload, this.#host);
  }

  async #passes(from: End, to: End, port: number): Promise<boolean> {
    return this.#hasArrived(this.#send(from, to, port), from, to);
  }

  async #hasArrived(text: string, from: End, to: End): Promise<boolean> {
    // What is sent last is read last or together with what was sent before it, in any order: hence once more, and again.
    for (let round = 0; round < 3; round++) await to.received(this.#send(from, to, CONTROL_PORT));
    return to.has(text);
  }

  #send(from: End, to: End, port: number): string {
    this.#count += 1;
    const text = `datagram ${this.#count}`;
    from.send({ to: to.ip, port, text });
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workload[Symbol.asyncDispose]();
    await this.#host[Symbol.asyncDispose]();
  }
}
