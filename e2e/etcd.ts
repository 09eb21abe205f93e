// A real etcd of one member on 127.0.0.1, for tests and the demo: can be stopped, started again and wiped.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_TIMEOUT_MS = 15_000;
const POLL_MS = 50;
const SHOWN_LOG_CHARACTERS = 2000;

export type EtcdOptions = {
  /** Client port; a free one unless told. */
  readonly port?: number;
  /** Kept on dispose if given; else a temporary folder that goes with it. */
  readonly dataDir?: string;
  /** PEM files: it then speaks TLS alone, with clients whose certificates this authority signed. */
  readonly tls?: EtcdTls;
  /** The machine's own unless told. */
  readonly program?: string;
};

export type EtcdTls = { readonly ca: string; readonly cert: string; readonly key: string };

export class Etcd implements AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly #peerPort: number;
  readonly #healthUrl: string;
  readonly #folder: string;
  readonly #dataDir: string;
  readonly #tls: EtcdTls | undefined;
  readonly #program: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, ports: { peer: number; health: number }, folder: string, options: EtcdOptions) {
    this.#program = options.program ?? 'etcd';
    this.port = port;
    this.url = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
    this.#healthUrl = `http://127.0.0.1:${ports.health}`;
    this.#tls = options.tls;
    this.#peerPort = ports.peer;
    this.#folder = folder;
    this.#dataDir = options.dataDir ?? join(folder, 'data');
  }

  /** Resolves once it answers; throws with the end of its log if it does not within 15 s. */
  static async start(options: EtcdOptions = {}): Promise<Etcd> {
    const folder = await mkdtemp(join(tmpdir(), 'podwall-etcd-'));
    const ports = { peer: await freePort(), health: await freePort() };
    const etcd = new Etcd(options.port ?? (await freePort()), ports, folder, options);
    try {
      await etcd.restart();
    } catch (error) {
      await etcd[Symbol.asyncDispose]();
      throw error;
    }
    return etcd;
  }

  /** Of the running process; undefined while it is stopped. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Stops it if it runs, and starts it on the same port with the data it had. */
  async restart(): Promise<void> {
    await this.stop();
    await mkdir(this.#dataDir, { recursive: true, mode: 0o700 });
    const peerUrl = `http://127.0.0.1:${this.#peerPort}`;
    const log = join(this.#folder, 'etcd.log');
    const child = spawn(
      this.#program,
      [
        ...['--data-dir', this.#dataDir, '--logger', 'zap', '--log-outputs', log],
        ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
        ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ...['--initial-cluster', `default=${peerUrl}`, '--listen-metrics-urls', this.#healthUrl],
        ...tlsOptions(this.#tls),
        ...['--heartbeat-interval', '20', '--election-timeout', '200'], // ms; alone, it waits for this at a restart
      ],
      { stdio: 'ignore' },
    );
    this.#child = child;
    process.once('exit', this.#killAtExit);
    await once(child, 'spawn');
    await this.#untilHealthy(child, log);
  }

  /** Ends the process, by SIGKILL as in a crash if told; what it holds stays. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    process.off('exit', this.#killAtExit);
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Stops it and deletes all that it holds; restart() brings it back empty. */
  async wipe(): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }

  readonly #killAtExit = (): void => {
    this.#child?.kill('SIGKILL');
  };

  async #untilHealthy(child: ChildProcess, log: string): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (Date.now() < deadline && child.exitCode === null && child.signalCode === null) {
      const isHealthy = await fetch(`${this.#healthUrl}/health`, { signal: AbortSignal.timeout(1000) }).then(
        (response) => response.ok,
        () => false,
      );
      if (isHealthy) return;
      await sleep(POLL_MS);
    }
    const told = await readFile(log, 'utf8').catch(() => '(no log)');
    throw new Error(`etcd does not answer at ${this.url}: ${told.slice(-SHOWN_LOG_CHARACTERS)}`);
  }
}

const tlsOptions = (tls: EtcdTls | undefined): string[] =>
  tls ? ['--client-cert-auth', '--trusted-ca-file', tls.ca, '--cert-file', tls.cert, '--key-file', tls.key] : [];

/** Handed out by this process: an etcd that is stopped keeps its port for when it starts again. */
const handedOut = new Set<number>();
const PORT_TRIES = 100;

/** A port of 127.0.0.1 that nothing listens on now: below those that connections leave from, which could take that of a stopped etcd. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const port = randomInt(20_000, 32_000);
    if (handedOut.has(port) || !(await isFree(port))) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error('no free port on 127.0.0.1');
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
