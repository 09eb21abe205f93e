// Processes of a cluster that outlive the command which started them. Each is known by its pid and when it started, so
// that no other process that got its pid later is taken for it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import { sendSignal } from '../lab/signal.ts';
import { waitFor } from '../lab/wait.ts';
import type { Cluster } from './places.ts';

type Identity = { readonly pid: number; readonly startedAt: string };

const STOP_TIMEOUT_MS = 10_000;

const records = (cluster: Cluster): string => join(cluster.directory, 'pid');
export const logFile = (cluster: Cluster, name: string): string => join(cluster.directory, 'log', `${name}.log`);

/** Does nothing where it runs already. Its output goes to `logFile`. */
export async function startDaemon(cluster: Cluster, name: string, [program, ...args]: Command): Promise<void> {
  if (await isAlive(cluster, name)) return;
  await mkdir(records(cluster), { recursive: true });
  await mkdir(join(cluster.directory, 'log'), { recursive: true });
  await using log = await open(logFile(cluster, name), 'a');
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log.fd, log.fd], cwd: '/' });
  child.unref();
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new LabError('CommandMissing', `${program} cannot be started: run deploy/setup --cluster`, { cause });
  }
  const pid = child.pid ?? 0; // it has one once it is spawned
  const identity: Identity = { pid, startedAt: (await startOf(pid)) ?? '' };
  await writeFile(join(records(cluster), name), JSON.stringify(identity));
}

export async function isAlive(cluster: Cluster, name: string): Promise<boolean> {
  const identity = await identityOf(cluster, name);
  return identity !== undefined && (await startOf(identity.pid)) === identity.startedAt;
}

export async function pidOf(cluster: Cluster, name: string): Promise<number | undefined> {
  return (await isAlive(cluster, name)) ? (await identityOf(cluster, name))?.pid : undefined;
}

/** By SIGKILL: no state of a cluster is to be kept. */
export async function stopDaemon(cluster: Cluster, name: string): Promise<void> {
  const pid = await pidOf(cluster, name);
  if (pid !== undefined) {
    sendSignal(pid, 'SIGKILL');
    const isOver = async () => !(await isAlive(cluster, name)) || undefined;
    await waitFor(`${name} (pid ${pid}) to end when killed`, isOver, { timeoutMs: STOP_TIMEOUT_MS });
  }
  await rm(join(records(cluster), name), { force: true });
}

/** Every one that was started, running or not. */
export const daemonsOf = (cluster: Cluster): Promise<string[]> => readdir(records(cluster)).catch(() => []);

async function identityOf(cluster: Cluster, name: string): Promise<Identity | undefined> {
  const text = await readFile(join(records(cluster), name), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Clock ticks since boot; undefined where there is no such process. See proc_pid_stat(5). */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  // A zombie holds its sockets until its last thread is gone.
  return state === 'Z' && Number(fields[THREADS]) <= 1 ? undefined : fields[STARTED];
}

// Of the fields after the state, which is the third.
const THREADS = 20 - 4;
const STARTED = 22 - 4;
