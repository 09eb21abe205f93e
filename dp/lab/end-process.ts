// For tests: a script of this folder as a process inside a network namespace, with messages both ways.
import { type ChildProcess, fork, type Serializable } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Changes } from './waiting.ts';

export type Place = { readonly namespace: string; readonly ip: string };

/** On one CPU, a sender's packets arrive in the order in which they were sent. */
function oneCpu(): string {
  const [, first = '0'] = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return first;
}

export class EndProcess<Received> implements AsyncDisposable {
  readonly changes = new Changes();
  readonly #child: ChildProcess;
  #hasEnded = false;

  constructor({ namespace }: Place, script: string, args: readonly string[], onMessage: (message: Received) => void) {
    const execArgv = [`--net=${namespace}`, '--', 'taskset', '-c', oneCpu(), process.execPath];
    this.#child = fork(`${import.meta.dirname}/${script}`, args, { execPath: 'nsenter', execArgv });
    this.#child.on('message', (message) => {
      onMessage(message as Received); // what the script says
      this.changes.happened();
    });
    this.#child.on('exit', () => {
      this.#hasEnded = true;
      this.changes.happened();
    });
  }

  send(message: Serializable): void {
    this.#child.send(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.changes.until(
      () => 'an end of the network to end',
      () => this.#hasEnded || undefined,
    );
  }
}
