// A client that is kept open: a line in, a line out.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command, Completed } from './command.ts';

export class Conversation implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  #stderr = '';

  /** Starts the command; it is killed when the conversation is disposed of. */
  constructor([program, ...args]: Command) {
    this.#child = spawn(program, args, { detached: true, stdio: 'pipe' });
    this.#lines = createInterface(this.#child.stdout);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    // What became of a client that cannot be written to, `ask` tells.
    this.#child.stdin.on('error', () => undefined);
  }

  /** Sends a line, and takes the next line of output as the answer. A client that ends has answered nothing. */
  async ask(line: string, timeoutMs: number, signal?: AbortSignal): Promise<Completed> {
    const started = performance.now();
    const over = new AbortController();
    const options = { signal: signal ? AbortSignal.any([over.signal, signal]) : over.signal };
    const answer = once(this.#lines, 'line', options).then(([text]) => ({ code: 0, stdout: String(text) }));
    const end = once(this.#child, 'close', options).then(([code]) => ({ code: Number(code ?? 1), stdout: '' }));
    const late = sleep(timeoutMs, { code: null, stdout: '' }, options);
    this.#child.stdin.write(`${line}\n`);
    try {
      const first = await Promise.race([answer, end, late]);
      return { ...first, stderr: this.#stderr, ms: performance.now() - started, timedOut: first.code === null };
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      over.abort();
      await Promise.allSettled([answer, end, late]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lines.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
