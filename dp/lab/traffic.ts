// For tests: real datagrams between a workload and its host, and whether they arrive.
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { FromEnd, ToEnd } from './udp-end.ts';
import { Changes } from './waiting.ts';

/** What every policy of a test must let through, both ways: a denied datagram is known by what is sent after it. */
export const CONTROL_PORT = 7000;
export const PORTS = [CONTROL_PORT, 7001, 7002, 7003] as const;

type Place = { readonly namespace: string; readonly ip: string };

/** On one CPU, a sender's datagrams arrive in the order in which they were sent. */
function oneCpu(): string {
  const [, first = '0'] = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return first;
}

class End implements AsyncDisposable {
  readonly ip: string;
  readonly #child: ChildProcess;
  readonly #changes = new Changes();
  readonly #texts = new Set<string>();
  #isReady = false;
  #hasEnded = false;

  constructor({ namespace, ip }: Place) {
    this.ip = ip;
    const execArgv = [`--net=${namespace}`, '--', 'taskset', '-c', oneCpu(), process.execPath];
    this.#child = fork(`${import.meta.dirname}/udp-end.ts`, [ip, ...PORTS.map(String)], {
      execPath: 'nsenter',
      execArgv,
    });
    this.#child.on('message', (message: FromEnd) => {
      if ('isReady' in message) this.#isReady = true;
      else this.#texts.add(message.text);
      this.#changes.happened();
    });
    this.#child.on('exit', () => {
      this.#hasEnded = true;
      this.#changes.happened();
    });
  }

  ready(): Promise<true> {
    return this.#changes.until(
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
    this.#child.send(message);
  }

  has(text: string): boolean {
    return this.#texts.has(text);
  }

  received(text: string): Promise<true> {
    return this.#changes.until(
      () => `a datagram to arrive at ${this.ip}`,
      () => this.has(text) || undefined,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#changes.until(
      () => 'an end of the network to end',
      () => this.#hasEnded || undefined,
    );
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
