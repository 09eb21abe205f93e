// A real Kubernetes API server on 127.0.0.1, with an etcd of its own, for tests: no node, no controller beside it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { program } from './cluster/places.ts';
import { Etcd, freePort } from './etcd.ts';

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 100;
const SHOWN_LOG_CHARACTERS = 2000;
const TOKEN = 'podwall-test';
const PROGRAM = program('kube-apiserver');

/** Why no API server can be had here; undefined where one can. */
export const withoutApiServer: string | undefined = existsSync(PROGRAM)
  ? undefined
  : `SKIPPED, no API server was built on this machine: node e2e/cluster/main.ts build`;

export class ApiServerProcess implements AsyncDisposable {
  /** Path of a kubeconfig with every right. */
  readonly kubeconfig: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #etcd: Etcd;
  #child: ChildProcess | undefined;

  private constructor(port: number, folder: string, etcd: Etcd) {
    this.#port = port;
    this.#folder = folder;
    this.#etcd = etcd;
    this.kubeconfig = join(folder, 'kubeconfig');
  }

  /** Resolves once it is ready; throws with the end of its log if it is not within a minute. */
  static async start(): Promise<ApiServerProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'podwall-api-server-'));
    const etcd = await Etcd.start({ program: program('etcd') });
    const server = new ApiServerProcess(await freePort(), folder, etcd);
    try {
      await promisify(execFile)('openssl', ['genrsa', '-out', join(folder, 'sa.key'), '2048']);
      await writeFile(join(folder, 'tokens'), `${TOKEN},admin,admin,system:masters\n`, { mode: 0o600 });
      await writeFile(server.kubeconfig, JSON.stringify(server.#client()), { mode: 0o600 });
      await server.restart();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Stops it if it runs, and starts it on the same port with the objects it had. */
  async restart(): Promise<void> {
    await this.stop();
    const file = (name: string) => join(this.#folder, name);
    await using log = await open(file('log'), 'a');
    const args = [
      ...[`--etcd-servers=${this.#etcd.url}`, '--bind-address=127.0.0.1', `--secure-port=${this.#port}`],
      ...[`--cert-dir=${this.#folder}`, `--token-auth-file=${file('tokens')}`, '--authorization-mode=AlwaysAllow'],
      ...['--service-account-issuer=https://kubernetes.default.svc', '--service-cluster-ip-range=10.96.0.0/16'],
      ...[`--service-account-key-file=${file('sa.key')}`, `--service-account-signing-key-file=${file('sa.key')}`],
      ...['--disable-admission-plugins=ServiceAccount', '--endpoint-reconciler-type=none'],
    ];
    const child = spawn(PROGRAM, args, { stdio: ['ignore', log.fd, log.fd] });
    this.#child = child;
    process.once('exit', this.#killAtExit);
    await once(child, 'spawn');
    await this.#untilReady(child);
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    process.off('exit', this.#killAtExit);
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** What kubectl says; throws with it where it fails. */
  async kubectl(args: readonly string[], input = ''): Promise<string> {
    const running = promisify(execFile)(program('kubectl'), ['--kubeconfig', this.kubeconfig, ...args]);
    running.child.stdin?.on('error', () => undefined).end(input); // kubectl may end before it reads
    return (await running).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#etcd[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  readonly #killAtExit = (): void => {
    this.#child?.kill('SIGKILL');
  };

  #client(): object {
    const name = 'test';
    return {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': name },
      contexts: [{ name, context: { cluster: name, user: name } }],
      clusters: [{ name, cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name, user: { token: TOKEN } }],
    };
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (Date.now() < deadline && child.exitCode === null && child.signalCode === null) {
      const isReady = await this.kubectl(['get', '--raw', '/readyz', '--request-timeout=2s']).then(
        () => true,
        () => false,
      );
      if (isReady) return;
      await sleep(POLL_MS);
    }
    const told = await readFile(join(this.#folder, 'log'), 'utf8').catch(() => '(no log)');
    throw new Error(`the API server is not ready at ${this.url}: ${told.slice(-SHOWN_LOG_CHARACTERS)}`);
  }
}
