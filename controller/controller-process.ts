// A controller as a process, over a folder of its own or an API server, with an etcd: for tests.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseYaml } from './yaml.ts';

const TIMEOUT_MS = 15_000;
const POLL_MS = 20;

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string };

export class ControllerProcess implements AsyncDisposable {
  readonly folder: string;
  readonly lines: LogLine[] = [];
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(folder: string, args: readonly string[]) {
    this.folder = folder;
    this.#args = args;
  }

  /** `options`: further ones of its command line. */
  static async start(
    etcdUrl: string,
    files: Readonly<Record<string, string>>,
    options: readonly string[] = [],
  ): Promise<ControllerProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'podwall-controller-'));
    const controller = new ControllerProcess(folder, ['--etcd', etcdUrl, '--source', folder, ...options]);
    for (const [name, text] of Object.entries(files)) await controller.write(name, text);
    controller.run();
    return controller;
  }

  /** Follows an API server; `identity` is what it calls itself in the election of a leader. */
  static async startOn(etcdUrl: string, kubeconfig: string, identity: string): Promise<ControllerProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'podwall-controller-'));
    const source = ['--source', 'kubernetes', '--kubeconfig', kubeconfig, '--namespace', 'default'];
    const controller = new ControllerProcess(folder, ['--etcd', etcdUrl, ...source, '--identity', identity]);
    controller.run();
    return controller;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  run(): void {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...this.#args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(JSON.parse(line)));
    this.#child = child;
  }

  write(name: string, text: string): Promise<void> {
    return writeFile(join(this.folder, name), text);
  }

  remove(name: string): Promise<void> {
    return unlink(join(this.folder, name));
  }

  /** The first value of a YAML file; undefined while there is none. */
  async read(name: string): Promise<unknown> {
    const text = await readFile(join(this.folder, name), 'utf8').catch(() => '');
    const [document] = parseYaml(text);
    return document && 'value' in document ? document.value : undefined;
  }

  events(msg: string): LogLine[] {
    return this.lines.filter((line) => line.msg === msg);
  }

  /** Answers its exit code, and how long it took. */
  async stop(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL' = 'SIGTERM'): Promise<{ code: number | null; tookMs: number }> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) {
      return { code: child?.exitCode ?? null, tookMs: 0 };
    }
    const startMs = Date.now();
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    return { code: child.exitCode, tookMs: Date.now() - startMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Waits until what is looked for is there; throws with what was there last. */
export async function until<T>(look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (const deadline = Date.now() + TIMEOUT_MS; ; await sleep(POLL_MS)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${TIMEOUT_MS} ms: ${look}`);
  }
}
