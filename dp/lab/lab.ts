// For tests: a dp of its own in a network namespace, and a workload in another. All of it goes when the lab does.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from './agent.ts';
import { DpProcess } from './dp-process.ts';
import type { Place } from './end-process.ts';
import { Exchange } from './exchange.ts';
import { forget, removeAtEnd } from './leftovers.ts';
import { TcpPair } from './tcp.ts';
import { Traffic } from './traffic.ts';

/** The workload’s interface, on its side and on the host’s. */
export const WORKLOAD = { mac: '02:00:00:00:77:05', ip: '10.77.0.5', ip6: 'fd77::5', iface: 'veth0' } as const;
/** Large enough for packets whose headers lie apart from their data. */
const MTU = 9000;
export const HOST = { mac: '02:00:00:00:77:01', ip: '10.77.0.1', ip6: 'fd77::1' } as const;

export type Node = { readonly namespace: string; readonly ip: string; readonly ip6: string };

let labs = 0;

export class Lab implements AsyncDisposable {
  /** Where dp runs, and where the workload does: /run/netns/… */
  readonly host: string;
  readonly pod: string;
  readonly directory: string;
  readonly listen: string;
  readonly notify: string;
  readonly pin: string;
  readonly #name: string;
  readonly #stack = new AsyncDisposableStack();
  #agents = 0;

  /** Of the interface. */
  readonly mtu = MTU;

  /** Needs root, and the compiled kernel programs. */
  constructor() {
    removeAtEnd(this);
    labs += 1;
    const name = `podwall-dptest-${process.pid}-${labs}`;
    this.directory = mkdtempSync(join(tmpdir(), `${name}-`));
    this.#stack.defer(() => rmSync(this.directory, { recursive: true }));
    this.listen = join(this.directory, 'dp.sock');
    this.notify = join(this.directory, 'agent.sock');
    this.pin = `/sys/fs/bpf/${name}`;
    this.#stack.defer(() => rmSync(this.pin, { recursive: true, force: true }));
    this.#name = name;
    [this.host, this.pod] = [this.#addNamespace('host'), this.#addNamespace('pod')];
    this.#addInterface();
  }

  #addInterface(): void {
    const [host, pod] = [`${this.#name}-host`, `${this.#name}-pod`];
    ip(`-n ${host} link add ${WORKLOAD.iface} address ${HOST.mac} mtu ${MTU} type veth
        peer name eth0 address ${WORKLOAD.mac} mtu ${MTU} netns ${pod}`);
    ip(`-n ${host} address add ${HOST.ip}/24 dev ${WORKLOAD.iface}`);
    ip(`-n ${pod} address add ${WORKLOAD.ip}/24 dev eth0`);
    ip(`-n ${host} address add ${HOST.ip6}/64 dev ${WORKLOAD.iface} nodad`);
    ip(`-n ${pod} address add ${WORKLOAD.ip6}/64 dev eth0 nodad`);
    ip(`-n ${host} link set ${WORKLOAD.iface} up`);
    ip(`-n ${pod} link set eth0 up`);
  }

  /** With it goes the workload’s end. */
  removeInterface(): void {
    ip(`-n ${this.#name}-host link delete ${WORKLOAD.iface}`);
  }

  /** Another interface of the same name and MAC. */
  replaceInterface(): void {
    this.removeInterface();
    this.#addInterface();
  }

  #addNamespace(role: string): string {
    const name = `${this.#name}-${role}`;
    ip(`netns add ${name}`);
    this.#stack.defer(() => ip(`netns delete ${name}`));
    return `/run/netns/${name}`;
  }

  /** The lab’s usual options of dp. */
  get options(): string[] {
    return ['--listen', this.listen, '--notify', this.notify, '--pin', this.pin];
  }

  /** Starts a dp and waits until it says that it has started; it is stopped with the lab. */
  async start(...more: string[]): Promise<DpProcess> {
    return this.#started(new DpProcess(this, [...this.options, ...more]));
  }

  /** The same, of another version: `folder` is its dp. */
  async startVariant(folder: string, ...more: string[]): Promise<DpProcess> {
    return this.#started(new DpProcess(this, [...this.options, ...more], `${folder}/main.ts`));
  }

  async #started(dp: DpProcess): Promise<DpProcess> {
    this.#stack.use(dp);
    await dp.said(/"dp started"/);
    return dp;
  }

  /** A client of dp with a socket of its own; by default, the agent’s. */
  agent(path = this.notify): Agent {
    return this.#stack.use(new Agent(path, this.listen));
  }

  /** A client that is not the agent. */
  client(): Agent {
    this.#agents += 1;
    return this.agent(join(this.directory, `client-${this.#agents}.sock`));
  }

  get #ends(): [workload: Place, host: Place] {
    return [
      { namespace: this.pod, ip: WORKLOAD.ip },
      { namespace: this.host, ip: HOST.ip },
    ];
  }

  async traffic(): Promise<Traffic> {
    return this.#stack.use(await Traffic.start(...this.#ends));
  }

  /** Traffic that goes on until it is ended. */
  async exchange(): Promise<Exchange> {
    const [workload, host] = this.#ends;
    const exchange = this.#stack.use(new Exchange(host));
    await exchange.begin(workload, host);
    return exchange;
  }

  /** TCP connections of one family with the host, or with who is behind it. */
  tcp(family: 4 | 6 = 4, { namespace, ip, ip6 }: Node = { namespace: this.host, ...HOST }): TcpPair {
    const isV4 = family === 4;
    const peer = { namespace, ip: isV4 ? ip : ip6 };
    return this.#stack.use(new TcpPair({ namespace: this.pod, ip: WORKLOAD[isV4 ? 'ip' : 'ip6'] }, peer));
  }

  /** Somebody whom the host forwards to, over an interface of its own that lets through no more than this. */
  addBehindHost(mtu: number): Node {
    const [host, pod, far] = ['host', 'pod', 'far'].map((role) => `${this.#name}-${role}`);
    const namespace = this.#addNamespace('far');
    ip(`-n ${host} link add far0 mtu ${mtu} type veth peer name eth0 mtu ${MTU} netns ${far}`);
    for (const [ns, dev, number] of [
      [host, 'far0', 1],
      [far, 'eth0', 2],
    ] as const) {
      ip(`-n ${ns} address add 10.78.0.${number}/24 dev ${dev}`);
      ip(`-n ${ns} address add fd78::${number}/64 dev ${dev} nodad`);
      ip(`-n ${ns} link set ${dev} up`);
    }
    ip(`-n ${pod} route add 10.78.0.0/24 via ${HOST.ip}`);
    ip(`-n ${pod} route add fd78::/64 via ${HOST.ip6}`);
    ip(`-n ${far} route add 10.77.0.0/24 via 10.78.0.1`);
    ip(`-n ${far} route add fd77::/64 via fd78::1`);
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
      execFileSync('nsenter', [`--net=${this.host}`, '--', 'sysctl', '-qw', `${key}=1`]);
    return { namespace, ip: '10.78.0.2', ip6: 'fd78::2' };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    forget(this);
    await this.#stack[Symbol.asyncDispose]();
  }
}

function ip(words: string): void {
  execFileSync('ip', words.split(/\s+/), { stdio: ['ignore', 'ignore', 'pipe'] });
}
