// Sends datagrams of any kind to a dp that runs, with a policy in force on real interfaces, and watches what becomes of it.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { random } from '../bpf/rule-sets.ts';
import { rule } from '../bpf/rules.ts';
import { isKernelError } from '../kernel/libbpf.ts';
import { AF_UNIX, close, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_DGRAM_CLOEXEC, sendto, socket } from '../kernel/libc.ts';
import { ADD_MAC, CONTROL_RULES, policy } from '../lab/commands.ts';
import type { DpProcess } from '../lab/dp-process.ts';
import { Lab, WORKLOAD } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic.ts';
import { anyDatagram, FUZZED_MACS } from './any-datagram.ts';
import { ReportReader } from './report-reader.ts';

const FULL_MS = 1;
const AGAIN_MS = 100;
/** dp's heap has grown to what it needs after so many. */
const WARM_UP = 20_000;
/** Of what V8's collector leaves lying about from one time to another. */
const MAX_GROWTH_BYTES = 64 << 20;
const TURN_EVERY = 64;
const ALLOWED_PORT = 7001;
const DENIED_PORT = 7002;

/** What is wrong with dp after all that it was sent. */
export class Broken extends Error {
  readonly code = 'BROKEN';
}

export type DatagramCounts = {
  sent: number;
  /** Commands in them that are wrong in themselves. */
  wrong: number;
  /** Commands that dp refused. */
  refused: number;
  answered: number;
  lost: number;
  /** Policies put in force: of the workloads that are there for this. */
  realized: number;
  warmBytes: number;
  endBytes: number;
};

export class Datagrams implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #dp: DpProcess;
  readonly #reports: ReportReader;
  readonly #traffic: Traffic;
  readonly #fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  readonly #address: Uint8Array;
  #before = '';
  #tail = '';
  readonly counts: DatagramCounts = {
    sent: 0,
    wrong: 0,
    refused: 0,
    answered: 0,
    lost: 0,
    realized: 0,
    warmBytes: 0,
    endBytes: 0,
  };

  private constructor(lab: Lab, dp: DpProcess, reports: ReportReader, traffic: Traffic) {
    this.#lab = lab;
    this.#dp = dp;
    this.#reports = reports;
    this.#traffic = traffic;
    this.#address = Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(`${lab.listen}\0`)]);
  }

  /** Needs root. Makes two network namespaces and a dp, which go when it is disposed of. */
  static async start(): Promise<Datagrams> {
    const lab = new Lab();
    try {
      const dp = await lab.start();
      const datagrams = new Datagrams(lab, dp, new ReportReader(lab.notify), await lab.traffic());
      await datagrams.#prepare();
      return datagrams;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    const { iface } = WORKLOAD;
    const rules = [...CONTROL_RULES, rule({ id: 1001, ports: `udp/${ALLOWED_PORT}` })];
    const others = FUZZED_MACS.map((mac) => ({ ctrl_add_mac: { iface, mac } }));
    for (const command of [ADD_MAC, ...others, policy(rules)]) await this.#send(Buffer.from(JSON.stringify(command)));
    await this.#settled();
    this.#before = await this.#inForce();
  }

  /** Sends `count` of them, or fewer where it is over before; throws Broken where dp has ended. */
  async run(seed: number, count: number, isOver = () => false): Promise<void> {
    const r = random(seed);
    for (let i = 0; i < count && !isOver(); i++) {
      const { bytes, errors } = anyDatagram(r);
      await this.#send(bytes);
      this.counts.sent += 1;
      this.counts.wrong += errors;
      if (this.counts.sent === WARM_UP) this.counts.warmBytes = await this.#restingBytes();
      if (i % TURN_EVERY === 0) this.#countRefused();
    }
  }

  /** Of the errors that came. */
  get codes(): ReadonlySet<number> {
    return this.#reports.codes;
  }

  /** Throws Broken where something is not as it was, or a wrong command was neither answered nor counted. */
  async check(): Promise<void> {
    const { counts } = this;
    counts.endBytes = await this.#restingBytes();
    const reports = this.#reports;
    const isAccountedFor = () => {
      this.#countRefused();
      return counts.refused <= reports.errors + reports.lost && reports.missing <= reports.lost;
    };
    const what = () =>
      `an answer for each wrong command: ${counts.refused} were refused, ${reports.errors} answered, ${reports.lost} said to be lost, ${reports.missing} missing`;
    const answered = reports.changes.until(what, () => isAccountedFor() || undefined);
    await answered.catch((error: Error) => {
      throw new Broken(error.message);
    });
    Object.assign(counts, { answered: reports.errors, lost: reports.lost, realized: reports.realized });
    if (counts.refused < counts.wrong)
      throw new Broken(`${counts.wrong} commands were wrong, and ${counts.refused} refused`);
    if (counts.warmBytes > 0 && counts.endBytes - counts.warmBytes > MAX_GROWTH_BYTES)
      throw new Broken(`dp's memory grew from ${counts.warmBytes} bytes to ${counts.endBytes}`);
    const after = await this.#inForce();
    if (after !== this.#before) throw new Broken(`in force was\n${this.#before}\nand is\n${after}`);
    const passes = [
      await this.#traffic.out(ALLOWED_PORT),
      await this.#traffic.out(DENIED_PORT),
      await this.#traffic.in(ALLOWED_PORT),
    ];
    if (passes.join() !== 'true,false,false')
      throw new Broken(`of traffic that is allowed, denied and denied, passes: ${passes.join(', ')}`);
  }

  /** Waits while dp's queue is full. */
  async #send(bytes: Uint8Array): Promise<void> {
    for (;;)
      try {
        sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, this.#address, this.#address.length);
        return;
      } catch (error) {
        if (isKernelError(error, 'ECONNREFUSED') || !this.#dp.isRunning)
          throw new Broken(`dp has ended:\n${this.#dp.output}\n${this.#dp.errors}`);
        if (!isKernelError(error, 'EAGAIN')) throw error;
        await sleep(FULL_MS);
      }
  }

  /** Waits until dp has carried out all that was sent before. */
  async #settled(): Promise<void> {
    const sequence = Math.floor(Math.random() * 2 ** 32);
    let isSettled = false;
    const answer = this.#reports.changes.until(
      () => 'dp to answer a keep-alive',
      () => this.#reports.keepAlive === sequence || undefined,
    );
    const answered = answer.finally(() => {
      isSettled = true;
    });
    // Again, since the answer may be among the reports that are lost.
    while (!isSettled) {
      await this.#send(Buffer.from(JSON.stringify({ ctrl_keep_alive: { seq_num: sequence } })));
      await Promise.race([answered, sleep(AGAIN_MS)]);
    }
    await answered;
  }

  async #restingBytes(): Promise<number> {
    await this.#settled();
    return this.residentBytes;
  }

  /** Of dp, as the kernel counts them. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#dp.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  /** What dp says of its own workload: all but the epoch, which counts on with the names of anyone. */
  async #inForce(): Promise<string> {
    await this.#settled();
    this.#countRefused();
    this.#dp.signal('SIGUSR1');
    const dump = await this.#dp.said(/\d+ workloads[\s\S]*?\nroom for/);
    const own = new RegExp(`^  ${WORKLOAD.mac}.*\\n(?:    (?!dropped).*\\n)*`, 'm').exec(dump);
    return `${own?.[0]}`.replace(/epoch \d+/, 'epoch');
  }

  /** Counts what it has logged since, and lets go of it. */
  #countRefused(): void {
    const lines = (this.#tail + this.#dp.takeOutput()).split('\n');
    this.#tail = lines.pop() ?? '';
    this.counts.refused += lines.filter((line) => line.includes('"command refused"')).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    close(this.#fd);
    await this.#reports[Symbol.asyncDispose]();
    await this.#lab[Symbol.asyncDispose]();
  }
}
