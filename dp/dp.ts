// One running dp: commands in, reports out, and what it does every two seconds.
import { type Event, event as eventCodec } from './kernel/abi.gen.ts';
import type { AttachmentKind } from './kernel/attachment.ts';
import { PinDirectory } from './kernel/bpffs.ts';
import { type Command, CommandSocket, pathOf } from './kernel/command-socket.ts';
import { Datapath } from './kernel/datapath.ts';
import { KernelError, RingBuffer } from './kernel/libbpf.ts';
import { Announcements } from './learning/announcements.ts';
import { AnswerCounts } from './learning/answer-counts.ts';
import { listResolvers } from './learning/resolvers.ts';
import { tooMany } from './limits.ts';
import type { Category, Log } from './log.ts';
import type { DpState } from './metrics.ts';
import { Engine } from './policy/commands.ts';
import { dump } from './policy/dump.ts';
import { warmUp } from './policy/warm-up.ts';
import { type CommandName, commandNumber } from './protocol/commands.ts';
import { CommandError } from './protocol/errors.ts';
import { type Parsed, parseCommands } from './protocol/parse.ts';
import { ERROR_CODE, encodeReport, NO_MAC, type Report } from './protocol/reports.ts';
import { MAX_COMMAND_BYTES } from './protocol/values.ts';
import { MemoryRelease } from './release.ts';
import { unixSeconds } from './reports/clock.ts';
import { Connections } from './reports/connections.ts';
import { describe } from './reports/describe.ts';
import { HitCounters } from './reports/hits.ts';
import { Losses } from './reports/losses.ts';
import { Notifier } from './reports/notifier.ts';
import { threatReport } from './reports/threats.ts';

export type Options = {
  readonly listen: string;
  readonly notify: string;
  readonly pin: string;
  readonly attach: AttachmentKind;
  /** Room in the table of flows, within FLOWS. */
  readonly flows: number;
  /** No agent: reports go to the log, and answers only to senders that have a socket of their own. */
  readonly isStandalone: boolean;
};

const CATEGORY: Readonly<Partial<Record<CommandName, Category>>> = {
  ctrl_cfg_policy: 'policy',
  ctrl_cfg_set_fqdn: 'fqdn',
  ctrl_cfg_del_fqdn: 'fqdn',
  ctrl_cfg_mac: 'app',
};
const EVENTS_MS = 50;
const PERIOD_MS = 2000;
const CONNECTIONS_MS = 6000;
const SWEEP_MS = 60_000;
/** Of a period; the rest stays with the kernel, which counts what it has no room for: a storm costs no more than this. */
const MAX_EVENTS = 4000;
/** Reports that may wait for the agent before one of an event: answers to its commands would else come after them, or never. */
const MAX_EVENTS_WAITING = 500;
/** Policies whose hits are told at once: all that a dp that starts has to tell may be more than can wait. */
const MAX_HITS_WAITING = 200;

export class Dp implements Disposable {
  readonly #log: Log;
  readonly #options: Options;
  readonly #stack = new DisposableStack();
  readonly #socket: CommandSocket;
  readonly #datapath: Datapath;
  readonly #engine: Engine;
  readonly #hits: HitCounters;
  readonly #connections: Connections;
  readonly #notifier: Notifier | undefined;
  readonly #release: MemoryRelease;
  readonly #losses: Losses;
  readonly #announcements: Announcements;
  readonly #answers: AnswerCounts;
  #sequence = 0;
  #events = 0;
  /** Reports up to the last one of hits. */
  #hitsGiven = 0;
  #mustRepeatHits = false;
  #areMoreHits = false;

  /** Throws PinError, LoadError or SocketError, each saying what to do. */
  constructor(options: Options, log: Log) {
    using stack = new DisposableStack();
    this.#log = log;
    this.#options = options;
    const pins = stack.use(PinDirectory.open(options.pin));
    this.#socket = stack.use(CommandSocket.bind(options.listen, MAX_COMMAND_BYTES));
    this.#datapath = stack.use(Datapath.open(pins, options.attach, options.flows));
    this.#engine = stack.use(new Engine(this.#datapath, (event) => this.#takeOwnEvent(event)));
    this.#hits = new HitCounters(this.#datapath, this.#engine.workloads);
    this.#connections = new Connections(
      [this.#datapath, this.#engine.policing.flows],
      this.#engine.workloads,
      this.#engine.networks,
    );
    this.#losses = new Losses(this.#datapath);
    this.#announcements = new Announcements((id) => this.#engine.names.withId(id));
    this.#answers = new AnswerCounts(this.#datapath);
    const ring = stack.use(new RingBuffer(this.#datapath.eventsFd(), (sample) => this.#takeSample(sample)));
    if (!options.isStandalone)
      this.#notifier = stack.use(
        new Notifier(options.notify, (state) => {
          log.debug('ctrl', state, { path: options.notify });
          this.#announcements.forgetTold();
        }),
      );
    this.#release = stack.use(new MemoryRelease());
    every(stack, EVENTS_MS, () => {
      const room = MAX_EVENTS_WAITING - (this.#notifier?.waiting ?? 0);
      this.#events += ring.consume(Math.min(MAX_EVENTS - this.#events, room));
      if (this.#areMoreHits) this.#reportHits(false);
    });
    every(stack, PERIOD_MS, () => this.#periodically());
    every(stack, CONNECTIONS_MS, () => this.#reportConnections());
    every(stack, SWEEP_MS, () => this.#engine.learnt.sweep());
    this.#stack = stack.move();
  }

  /** Carries out commands until dp is disposed of. */
  async run(): Promise<void> {
    this.#log.notice('dp started', { ...this.#options, workloads: this.#engine.workloads.all().length });
    const awaited = this.#datapath.awaited;
    if (awaited > 0)
      this.#log.notice('the earlier version decides until policies are told again', { workloads: awaited });
    for (const reason of this.#engine.workloads.notRenewed) this.#log.error('port not taken up', { reason });
    warmUp();
    for await (const command of this.#socket.datagrams()) this.#take(command);
  }

  dump(): string {
    const answers = { resolvers: listResolvers(this.#datapath), counts: this.#answers.inKernel() };
    return dump(this.#engine, this.#datapath.room(), this.#losses.inKernel(), answers);
  }

  /** For metrics. */
  state(): DpState {
    const { workloads, names, policing } = this.#engine;
    return {
      workloads: workloads.all(),
      isEnforcing: !workloads.isDisabled,
      names: names.size,
      counter: (index) => Number(this.#datapath.counter(index)),
      queued: policing,
      flows: this.#datapath.flowCount,
      flowRoom: this.#datapath.room().flows,
      policyRoom: this.#datapath.policyRoom() - 1,
      reports: { given: this.#notifier?.given ?? 0, waiting: this.#notifier?.waiting ?? 0, lost: this.#losses.reports },
    };
  }

  #take({ data, bytes, sender }: Command): void {
    this.#release.worked();
    if (bytes > MAX_COMMAND_BYTES) {
      const message = tooMany('bytes in a message', bytes, MAX_COMMAND_BYTES, 'send policies in batches');
      this.#refuse(new CommandError(undefined, ERROR_CODE.tooLarge, message), sender);
      return;
    }
    for (const parsed of parseCommands(data)) this.#carryOut(parsed, sender);
  }

  #carryOut(parsed: Parsed, sender: Uint8Array): void {
    if ('error' in parsed) {
      this.#refuse(parsed.error, sender);
      return;
    }
    const { command } = parsed;
    try {
      for (const report of this.#engine.carryOut(command)) this.#answer(report, sender);
      this.#log.debug(CATEGORY[command.name] ?? 'ctrl', 'command carried out', command);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#refuse(error, sender, macOf(command.body));
    }
  }

  #refuse(error: CommandError, sender: Uint8Array, mac = NO_MAC): void {
    const { code, command: name, message: text } = error;
    this.#log.error('command refused', { code, command: name, reason: text });
    this.#answer({ kind: 'error', code, command: name ? commandNumber(name) : 0, mac, text }, sender);
  }

  /** To the sender's own socket, or else to the agent's. Only what the agent gets is counted in a sequence. */
  #answer(report: Report, sender: Uint8Array): void {
    if (sender.length === 0 || pathOf(sender) === this.#options.notify) {
      this.#report(report);
      return;
    }
    try {
      this.#socket.answer(sender, encodeReport(report, report.kind === 'keepAlive' ? report.sequence : 0));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.#log.error('answer not sent', { kind: report.kind, reason: error.message });
    }
  }

  #report(report: Report, saysLost = 0): void {
    this.#log.debug(report.kind === 'threatLog' ? 'packet' : 'report', 'report', describe(report));
    this.#notifier?.send(this.#encode(report), saysLost);
  }

  #encode(report: Report): Buffer {
    if (report.kind === 'keepAlive') return encodeReport(report, report.sequence);
    this.#sequence = (this.#sequence + 1) >>> 0;
    return encodeReport(report, this.#sequence);
  }

  #takeSample(sample: Uint8Array): void {
    this.#takeEvent(eventCodec.read(new DataView(sample.buffer, sample.byteOffset, sample.length), 0));
  }

  /** Of a packet that dp itself has decided on: within what a period has room for. */
  #takeOwnEvent(event: Event): void {
    this.#events += 1;
    if (this.#events <= MAX_EVENTS) this.#takeEvent(event);
    else this.#losses.add(1);
  }

  #takeEvent(event: Event): void {
    const mac = this.#engine.workloads.withId(event.key.endpoint)?.mac;
    this.#report(threatReport(event, mac, unixSeconds(event.timeNs), this.#engine.networks));
  }

  #reportConnections(): void {
    const { reports, leftOut, uses } = this.#connections.collect();
    for (const report of reports) this.#report(report);
    this.#losses.add(leftOut);
    this.#engine.learnt.keep(uses);
    for (const report of this.#announcements.collect(this.#engine.learnt.all())) this.#report(report);
  }

  /** Sums can wait until the agent has those before; where reports were thrown away, all are told again. */
  #reportHits(wereReportsLost: boolean): void {
    this.#mustRepeatHits ||= wereReportsLost;
    if (this.#notifier && this.#notifier.given - this.#notifier.waiting < this.#hitsGiven) return;
    if (this.#mustRepeatHits) this.#hits.forgetReported();
    this.#mustRepeatHits = false;
    const { reports, isAll } = this.#hits.collect(MAX_HITS_WAITING);
    for (const report of reports) this.#report(report);
    this.#hitsGiven = this.#notifier?.given ?? 0;
    this.#areMoreHits = !isAll;
  }

  #lookAfterPorts(): void {
    for (const { mac, iface, port } of this.#engine.workloads.forgetGonePorts())
      this.#log.notice('port gone: its interface is no longer there', { mac, iface, netns: port?.netns });
    for (const { queue, iface, netns, dropped } of this.#engine.queues.takeDropped()) {
      const text = `queue ${queue} of ${iface} in ${netns}: ${dropped} packets dropped, as it was full`;
      this.#log.error('queue full', { queue, iface, netns, dropped });
      this.#report({ kind: 'error', code: ERROR_CODE.queueFull, command: 0, mac: NO_MAC, text });
    }
  }

  #periodically(): void {
    this.#lookAfterPorts();
    for (const text of this.#answers.news()) this.#log.notice('dns answers not learnt from', { reason: text });
    const lost = this.#notifier?.takeLost() ?? 0;
    this.#reportHits(lost > 0);
    this.#losses.add(lost);
    this.#events = 0;
    for (const { report, reports } of this.#losses.collect(PERIOD_MS / 1000)) {
      if (report.kind === 'error') this.#log.error('lost', { reason: report.text });
      this.#report(report, reports);
    }
  }

  /** Stops: what is in force stays in force. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

function every(stack: DisposableStack, ms: number, run: () => void): void {
  stack.adopt(setInterval(run, ms), clearInterval);
}

/** The first workload that a command is about. */
function macOf(body: object): string {
  if ('mac' in body) return Array.isArray(body.mac) ? String(body.mac[0]) : String(body.mac);
  return 'macs' in body && Array.isArray(body.macs) ? String(body.macs[0]) : NO_MAC;
}
