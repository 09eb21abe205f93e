// A long-running process of a lab: its log goes to a file, and it can be killed and started again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from './command.ts';
import { LabError } from './failure.ts';
import { waitFor } from './wait.ts';

export type ProcessSpec = { readonly name: string; readonly command: Command; readonly logFile: string };

const STOP_TIMEOUT_MS = 5_000;
const SHOWN_LOG_CHARACTERS = 2_000;

export class LabProcess implements AsyncDisposable {
  readonly name: string;
  readonly logFile: string;
  readonly #command: Command;
  #child: ChildProcess;

  private constructor({ name, command, logFile }: ProcessSpec, child: ChildProcess) {
    this.name = name;
    this.logFile = logFile;
    this.#command = command;
    this.#child = child;
  }

  static async start(spec: ProcessSpec): Promise<LabProcess> {
    return new LabProcess(spec, await spawnLogged(spec.command, spec.logFile));
  }

  /** Of the process that runs, or ran last. */
  get pid(): number {
    return this.#child.pid ?? Number.NaN;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves once `probe` does so with true; throws LabError with the end of the log if the process ends before. */
  async untilReady(probe: () => Promise<boolean>, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const attempt = async (): Promise<true | undefined> => {
      if (!this.isRunning) throw new LabError('ProcessEnded', `${this.name} has ended: ${await this.#logEnd()}`);
      return (await probe()) || undefined;
    };
    await waitFor(`${this.name} to be ready (its log: ${this.logFile})`, attempt, { timeoutMs, signal });
  }

  log(): Promise<string> {
    return readFile(this.logFile, 'utf8');
  }

  /** Ends it, by SIGKILL if it is still there after 5 s. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    const late = new AbortController();
    await Promise.race([ended, sleep(STOP_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    if (!this.isRunning) return;
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Starts it anew with the same command; it must have ended. The log goes on. */
  async restart(): Promise<void> {
    await this.stop();
    this.#child = await spawnLogged(this.#command, this.logFile);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #logEnd(): Promise<string> {
    return (await this.log()).trim().slice(-SHOWN_LOG_CHARACTERS) || '(it logged nothing)';
  }
}

/** The log is a file and not a pipe, so that a process that is kept can go on without whoever started it. */
async function spawnLogged([program, ...args]: Command, logFile: string): Promise<ChildProcess> {
  await using log = await open(logFile, 'a');
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log.fd, log.fd] });
  child.unref();
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new LabError('CommandMissing', `${program} cannot be started: run deploy/setup`, { cause });
  }
  return child;
}
