// Runs a command to its end, within a time, and says how it went.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { LabError } from './failure.ts';
import { sendSignal } from './signal.ts';

export type Command = readonly [program: string, ...args: string[]];

export type Completed = {
  /** null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** It was still running after `timeoutMs`, and was killed. */
  readonly timedOut: boolean;
};

export type RunOptions = {
  /** Once aborted, the command is killed and the run throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  readonly input?: string;
};

const DEFAULT_TIMEOUT_MS = 30_000;

/** Throws LabError CommandMissing where the program is not installed; any exit code is the caller's to judge. */
export async function run([program, ...args]: Command, options: RunOptions = {}): Promise<Completed> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, input = '' } = options;
  signal?.throwIfAborted();
  const started = performance.now();
  // A process group of its own: Ctrl-C reaches only the lab, which ends its commands itself.
  const child = spawn(program, args, { detached: true, stdio: 'pipe' });
  await hasStarted(child, program);
  const timeout = AbortSignal.timeout(timeoutMs);
  const end = AbortSignal.any(signal ? [signal, timeout] : [timeout]);
  const killGroup = () => kill(child);
  if (end.aborted) killGroup();
  end.addEventListener('abort', killGroup, { once: true });
  // A command that ends before it has read its input says by its exit code what that means.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  end.removeEventListener('abort', killGroup);
  signal?.throwIfAborted();
  return { code, stdout, stderr, ms: performance.now() - started, timedOut: timeout.aborted && code === null };
}

/** As `run`, and throws LabError CommandFailed unless it exits with 0. */
export async function mustRun(command: Command, options: RunOptions = {}): Promise<Completed> {
  const completed = await run(command, options);
  if (completed.code === 0) return completed;
  const how = completed.timedOut ? 'did not end' : `ended with ${completed.code ?? 'a signal'}`;
  const said = (completed.stderr || completed.stdout).trim();
  throw new LabError('CommandFailed', `${command.join(' ')} ${how}: ${said}`);
}

async function hasStarted(child: ChildProcessWithoutNullStreams, program: string): Promise<void> {
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new LabError('CommandMissing', `${program} cannot be started: run deploy/setup`, { cause });
  }
}

function kill(child: ChildProcessWithoutNullStreams): void {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
    sendSignal(-child.pid, 'SIGKILL');
}
