// A long-running process of a lab: its log goes to a file, and it can be killed and started again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import type { Command } from './command.ts';
import { LabError } from './failure.ts';
import { poll, waitFor } from './wait.ts';

export type ProcessSpec = {
  readonly name: string;
  readonly command: Command;
  readonly logFile: string;
  /** Called with a LabError ProcessEnded if it ends and nobody has asked it to. */
  readonly onUnexpectedEnd: (error: LabError) => void;
};

const STOP_TIMEOUT_MS = 5_000;
const SHOWN_LOG_CHARACTERS = 2_000;

export class LabProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #spec: ProcessSpec;
  #child: ChildProcess | undefined;

  private constructor(spec: ProcessSpec) {
    this.name = spec.name;
    this.logFile = spec.logFile;
    this.#spec = spec;
  }

  static async start(spec: ProcessSpec): Promise<LabProcess> {
    const labProcess = new LabProcess(spec);
    await labProcess.start();
    return labProcess;
  }

  /** undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it again with the same command, after `stop`. The log goes on. */
  async start(): Promise<void> {
    const [program, ...args] = this.#spec.command;
    // A file and not a pipe, so that a process that is kept can go on without whoever started it.
    await using log = await open(this.logFile, 'a');
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log.fd, log.fd] });
    child.unref();
    child.once('exit', () => this.#takeEnd(child));
    try {
      await once(child, 'spawn');
    } catch (cause) {
      throw new LabError('CommandMissing', `${program} cannot be started: run deploy/setup`, { cause });
    }
    this.#child = child;
  }

  /** Ends it, by SIGKILL if it is still there after 5 s. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.expectEnd();
    const isOver = async () => child.exitCode !== null || child.signalCode !== null || undefined;
    child.kill(signal);
    if (await poll(isOver, { timeoutMs: STOP_TIMEOUT_MS, everyMs: 10 })) return;
    child.kill('SIGKILL');
    await waitFor(`${this.name} to end when killed`, isOver, { timeoutMs: STOP_TIMEOUT_MS });
  }

  /** Stops it from running without its noticing; `thaw` has it go on. */
  freeze(): void {
    this.signal('SIGSTOP');
  }

  thaw(): void {
    this.signal('SIGCONT');
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** From now on, its end is no surprise. */
  expectEnd(): void {
    this.#child = undefined;
  }

  log(): Promise<string> {
    return readFile(this.logFile, 'utf8');
  }

  #takeEnd(child: ChildProcess): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    const report = (log: string) => {
      const said = log.trim().slice(-SHOWN_LOG_CHARACTERS) || '(nothing)';
      this.#spec.onUnexpectedEnd(new LabError('ProcessEnded', `${this.name} has ended. The end of its log:\n${said}`));
    };
    this.log().then(report, () => report(''));
  }
}
