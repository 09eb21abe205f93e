// The real traffic of the soak: every workload's flows with their numbers, all sockets in this one process.
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type Expectation, SequenceBook } from './books.ts';
import {
  CONNECTION,
  type FlowName,
  isDenied,
  LONG_FLOW_NAMES,
  LONG_FLOWS,
  type LongFlowName,
  PEER_IP,
  peerIpOf,
  SHORT_FLOW_NAMES,
  SHORT_FLOWS,
  type ShortFlowName,
} from './flows.ts';
import { datagramSocket, type End, PortlessSender, tcpClient, tcpServer } from './sockets.ts';

/** A workload's network namespace, and its address there. */
export type Place = { readonly namespace: string; readonly ip: string };

/** Ethernet, IPv4, UDP: what a datagram is counted with beside its payload. */
const HEADER_BYTES = 14 + 20 + 8;
const FIRST_SHORT_PORT = 10_000;
const SHORT_PORTS = 50_000;

/** One workload: its sockets, and a book for each of its flows. */
class Ends {
  readonly ip: string;
  readonly books: Readonly<Record<FlowName, SequenceBook>>;
  readonly datagrams = new Map<LongFlowName, DatagramSocket>();
  readonly portless: PortlessSender;
  connection: Socket | undefined;
  #shortFlows = 0;

  constructor({ namespace, ip }: Place, stack: DisposableStack) {
    this.ip = ip;
    this.portless = stack.use(new PortlessSender(namespace));
    const names: readonly FlowName[] = [...LONG_FLOW_NAMES, ...SHORT_FLOW_NAMES, 'connection'];
    this.books = Object.fromEntries(names.map((name) => [name, new SequenceBook()])) as Ends['books']; // every name
  }

  /** A port that no flow has had, for as many as there are. */
  newPort(): number {
    this.#shortFlows += 1;
    return FIRST_SHORT_PORT + (this.#shortFlows % SHORT_PORTS);
  }
}

export class Traffic implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #workloads: readonly Ends[];
  readonly #peer = new Map<FlowName, DatagramSocket>();
  readonly #failures: string[] = [];
  #isOver = false;

  private constructor(places: readonly Place[]) {
    this.#workloads = places.map((place) => new Ends(place, this.#stack));
  }

  /** `peer`: the namespace that has the peer's addresses. Connects at once: what is to be allowed must be in force. */
  static async start(peer: string, places: readonly Place[]): Promise<Traffic> {
    const traffic = new Traffic(places);
    for (const name of [...LONG_FLOW_NAMES, ...SHORT_FLOW_NAMES])
      for (const ip of new Set(places.map((_, i) => peerIpOf(name, i)))) await traffic.#openPeer(peer, name, ip);
    const server = { ip: PEER_IP, port: CONNECTION.peerPort };
    traffic.#closeWith(await tcpServer(peer, server, (socket) => traffic.#echoLines(socket)));
    for (const [i, place] of places.entries()) await traffic.#openWorkload(i, place, server);
    return traffic;
  }

  async #openPeer(namespace: string, name: LongFlowName | ShortFlowName, ip: string): Promise<void> {
    const port =
      name in LONG_FLOWS ? LONG_FLOWS[name as LongFlowName].peerPort : SHORT_FLOWS[name as ShortFlowName].peerPort; // just asked
    const socket = this.#closeWith(await datagramSocket(namespace, { ip, port }));
    this.#peer.set(name, socket);
    socket.on('message', (text, from) => this.#take('peer', socket, text, from.address, from.port));
  }

  async #openWorkload(i: number, { namespace, ip }: Place, server: End): Promise<void> {
    const ends = this.#at(i);
    for (const name of LONG_FLOW_NAMES) {
      const socket = this.#closeWith(await datagramSocket(namespace, { ip, port: LONG_FLOWS[name].workloadPort }));
      socket.on('message', (text, from) => this.#take('workload', socket, text, from.address, from.port));
      ends.datagrams.set(name, socket);
    }
    const connection = tcpClient(namespace, server);
    this.#stack.defer(() => connection.destroy());
    ends.connection = connection;
    createInterface(connection).on('line', (line) => this.#takeLine(line));
    for (const event of ['error', 'end'] as const)
      connection.on(event, (error?: Error) => this.#broken(`workload ${i}’s connection: ${error?.message ?? event}`));
  }

  /** Either side: what it did not send itself has arrived and is answered; the rest is an answer. */
  #take(side: 'workload' | 'peer', socket: DatagramSocket, text: Buffer, ip: string, port: number): void {
    const [name, i, number] = text.toString().split(' ');
    const flow = name as FlowName; // only this process sends to these namespaces
    const book = this.#at(Number(i)).books[flow];
    const opener = flow in LONG_FLOWS ? LONG_FLOWS[flow as LongFlowName].opener : 'workload'; // just asked
    if (opener === side) {
      book.answer(Number(number));
      return;
    }
    book.arrive(Number(number), text.length + HEADER_BYTES);
    if (flow in LONG_FLOWS) socket.send(text, port, ip);
  }

  #echoLines(socket: Socket): void {
    this.#stack.defer(() => socket.destroy());
    createInterface(socket).on('line', (line) => socket.write(`${line}\n`));
    socket.on('error', (error) => this.#broken(`the peer’s connection: ${error.message}`));
  }

  #takeLine(line: string): void {
    const [, i, number] = line.split(' ');
    const book = this.#at(Number(i)).books.connection;
    book.arrive(Number(number));
    book.answer(Number(number));
  }

  #broken(what: string): void {
    if (!this.#isOver) this.#failures.push(what);
  }

  sendLong(i: number, flow: LongFlowName, expectation: Expectation = isDenied(flow) ? 'dropped' : 'passes'): void {
    const { opener, peerPort, workloadPort } = LONG_FLOWS[flow];
    const ends = this.#at(i);
    const text = this.#next(i, flow, expectation);
    if (opener === 'workload') ends.datagrams.get(flow)?.send(text, peerPort, peerIpOf(flow, i));
    else this.#peer.get(flow)?.send(text, workloadPort, ends.ip);
  }

  sendShort(i: number, flow: ShortFlowName): void {
    const { peerPort, expectation } = SHORT_FLOWS[flow];
    const ends = this.#at(i);
    const from = { ip: ends.ip, port: ends.newPort() };
    ends.portless.send(from, { ip: PEER_IP, port: peerPort }, this.#next(i, flow, expectation));
  }

  sendLine(i: number): void {
    this.#at(i).connection?.write(`${this.#next(i, 'connection', 'passes')}\n`);
  }

  #next(i: number, flow: FlowName, expectation: Expectation): string {
    const book = this.#at(i).books[flow];
    const number = book.sums.sent;
    const text = `${flow} ${i} ${number}`;
    book.send(expectation, text.length + HEADER_BYTES);
    return text;
  }

  bookOf(i: number, flow: FlowName): SequenceBook {
    return this.#at(i).books[flow];
  }

  /** Of one flow, the books of all workloads. */
  booksOf(flow: FlowName): SequenceBook[] {
    return this.#workloads.map(({ books }) => books[flow]);
  }

  get workloads(): number {
    return this.#workloads.length;
  }

  /** Connections that broke, in words. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  #at(i: number): Ends {
    const ends = this.#workloads[i];
    if (!ends) throw new RangeError(`workload ${i} of ${this.#workloads.length}`);
    return ends;
  }

  #closeWith<T extends DatagramSocket | Server>(closing: T): T {
    this.#stack.defer(() => void closing.close());
    return closing;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#stack.dispose();
  }
}
