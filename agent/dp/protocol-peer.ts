// For tests: dp's part of the protocol on real sockets. It takes commands, and answers them as dp must.
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, type CommandBody, type CommandName, commandNumber } from '@podwall/dp/protocol/commands.ts';
import { parseCommands } from '@podwall/dp/protocol/parse.ts';
import { encodeReport, NO_MAC, type Report } from '@podwall/dp/protocol/reports.ts';
import { BATCH_FLAG } from '@podwall/dp/protocol/values.ts';
import unix, { type Socket } from 'unix-dgram';

const POLL_MS = 5;

export class ProtocolPeer implements Disposable {
  /** All that came, in order, but keep-alives. */
  readonly commands: Command[] = [];
  readonly keepAlives: number[] = [];
  readonly datagramBytes: number[] = [];
  /** A text: policies are refused with it. */
  refusal: string | undefined;
  /** False: as a dp that hangs. */
  isAnswering = true;
  epoch = 1;
  sequence = 0;
  readonly #path: string;
  readonly #notifyPath: string;
  readonly #socket: Socket;
  #sender: Socket | undefined;
  #rules = 0;

  constructor(path: string, notifyPath: string) {
    this.#path = path;
    this.#notifyPath = notifyPath;
    rmSync(path, { force: true });
    this.#socket = unix.createSocket('unix_dgram', (datagram) => this.#receive(datagram));
    this.#socket.bind(path);
  }

  /** The bodies of the commands of one name, in order. */
  bodies<Name extends CommandName>(name: Name): CommandBody<Name>[] {
    return this.commands.flatMap((command) => (command.name === name ? [command.body as CommandBody<Name>] : [])); // by its name
  }

  /** Waits for a state that commands lead to; throws after `withinMs`. */
  async until(isReached: (peer: this) => boolean, withinMs = 5000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!isReached(this)) {
      if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms; dp got ${JSON.stringify(this.commands)}`);
      await sleep(POLL_MS);
    }
  }

  report(report: Report): void {
    if (report.kind !== 'keepAlive') this.sequence += 1;
    this.send(encodeReport(report, report.kind === 'keepAlive' ? report.sequence : this.sequence));
  }

  /** Whole datagrams, also bad ones. */
  send(datagram: Buffer): void {
    this.#sender ??= this.#connect();
    this.#sender?.send(datagram);
  }

  /** As a dp that ends: its socket's file stays unless told. */
  [Symbol.dispose](): void {
    this.#socket.close();
    this.#sender?.close();
  }

  end({ removesFile }: { removesFile: boolean }): void {
    this[Symbol.dispose]();
    if (removesFile) rmSync(this.#path);
  }

  #connect(): Socket | undefined {
    const socket = unix.createSocket('unix_dgram');
    let isConnected = false;
    socket.on('error', () => {
      isConnected = false;
      this.#sender = undefined;
      socket.close();
    });
    socket.on('connect', () => {
      isConnected = true;
    });
    socket.connect(this.#notifyPath);
    return isConnected ? socket : undefined;
  }

  #receive(datagram: Buffer): void {
    this.datagramBytes.push(datagram.length);
    for (const parsed of parseCommands(datagram)) {
      if ('error' in parsed) throw parsed.error; // the agent sends nothing that dp can't read
      this.#carryOut(parsed.command);
    }
  }

  #carryOut(command: Command): void {
    if (command.name === 'ctrl_keep_alive') {
      this.keepAlives.push(command.body.seq_num);
      if (this.isAnswering) this.report({ kind: 'keepAlive', sequence: command.body.seq_num });
      return;
    }
    this.commands.push(command);
    if (command.name === 'ctrl_cfg_policy' && this.isAnswering) this.#configure(command.body);
  }

  #configure({ flag, rules = [], mac: [mac = NO_MAC] }: CommandBody<'ctrl_cfg_policy'>): void {
    this.#rules = ((flag & BATCH_FLAG.start) === 0 ? this.#rules : 0) + rules.length;
    if ((flag & BATCH_FLAG.end) === 0) return;
    if (this.refusal !== undefined) {
      const error = { code: 7, command: commandNumber('ctrl_cfg_policy'), mac: NO_MAC, text: this.refusal };
      this.report({ kind: 'error', ...error });
      return;
    }
    this.epoch += 1;
    this.report({ kind: 'policyRealized', realized: { mac, epoch: this.epoch, rules: this.#rules } });
  }
}
