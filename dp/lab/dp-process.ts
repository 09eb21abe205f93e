// For tests: a dp as a process, with what it says.
import { type ChildProcess, spawn } from 'node:child_process';
import { Changes } from './waiting.ts';

/** `host`: the network namespace, /run/netns/… */
export type Place = { readonly host: string };

const MAIN = `${import.meta.dirname}/../main.ts`;

export class DpProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #changes = new Changes();
  /** All of it so far. */
  output = '';
  errors = '';
  #seen = 0;
  #exit: { readonly code: number | null; readonly signal: string | null } | undefined;

  /** `main`: the script that runs. */
  constructor({ host }: Place, options: readonly string[], main = MAIN) {
    // It must not outlive this process, whatever ends that.
    const command = ['--pdeathsig', 'KILL', 'nsenter', `--net=${host}`, '--', process.execPath, main, ...options];
    this.#child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      this.#changes.happened();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
      this.#changes.happened();
    });
    this.#child.on('close', (code, signal) => {
      this.#exit = { code, signal };
      this.#changes.happened();
    });
  }

  /** Waits for a text in what it says; each call looks only behind what the one before it found. */
  async said(text: RegExp | string): Promise<string> {
    const pattern = typeof text === 'string' ? new RegExp(text.replace(/[^\w\s]/g, '\\$&')) : text;
    const what = () => `dp to say ${pattern}; it said:\n${this.output}${this.errors}`;
    return this.#changes.until(what, () => {
      const found = pattern.exec(this.output.slice(this.#seen));
      if (!found && this.#exit)
        throw new Error(`dp has ended (${this.#exit.code}) before it said ${pattern}:\n${this.output}${this.errors}`);
      if (!found) return undefined;
      this.#seen += found.index + found[0].length;
      return found[0];
    });
  }

  /** All that it said and was not yet taken; from then on it is looked for no more. For runs whose output would fill the memory. */
  takeOutput(): string {
    const taken = this.output;
    this.output = '';
    this.#seen = 0;
    return taken;
  }

  /** setpriv becomes nsenter, and that dp. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits for it to end. */
  ended(): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    return this.#changes.until(
      () => `dp to end; it said:\n${this.output}${this.errors}`,
      () => this.#exit,
    );
  }

  async stop(
    name: NodeJS.Signals = 'SIGTERM',
  ): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    this.signal(name);
    return this.ended();
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.stop('SIGKILL');
  }
}
