#!/usr/bin/env node
// podwall-controller: compiles rules to etcd and shows what agents make of them.
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { MetricsError } from '@podwall/metrics/errors.ts';
import { ROOT } from './api/keyspace.ts';
import { type FolderOptions, type Options, readOptions, UsageError, VERSION } from './command-line.ts';
import { Mirror } from './etcd/mirror.ts';
import type { EtcdOptions } from './etcd/session.ts';
import { type Logger, openLog } from './log.ts';
import { Reconciler } from './reconcile.ts';
import { type Run, untilStopped } from './run.ts';
import { serveMetrics } from './serve-metrics.ts';
import { FolderSource } from './sources/folder/folder-source.ts';
import { StatusFiles } from './status/status-files.ts';

const EXIT = { done: 0, failed: 1, usage: 2 } as const;
/** The rest is left as it is: etcd and the folder are whole at any time. */
const SHUTDOWN_MS = 1500;

async function run(options: Options, log: Logger, stop: AbortSignal): Promise<void> {
  const { etcd, source } = options;
  log.info({ version: VERSION, etcd, source }, 'started');
  const run = { etcd: etcdOptions(options), metrics: options.metrics, log, stop };
  if (source.kind === 'folder') return followFolder(source, run);
  // Loaded only here: what speaks to the API server takes half of a second.
  const { followKubernetes } = await import('./kubernetes/follow.ts');
  return followKubernetes(source, run);
}

async function followFolder({ folder, statusFolder }: FolderOptions, { etcd, metrics, log, stop }: Run): Promise<void> {
  for (const path of new Set([folder, statusFolder])) await requireFolder(path);
  await using statusFiles = await StatusFiles.open(statusFolder, log);
  const state = () => ({
    ...reconciler.picture,
    etcd: { isConnected: mirror.isConnected, ...mirror.counts },
    statusWrites: statusFiles.count,
    eventsDropped: 0, // there are none
  });
  await using _metrics = await serveMetrics(metrics, state, log);
  await using mirror = new Mirror(etcd, ROOT, log, (keys) => reconciler.etcdChanged(keys));
  await using reconciler = new Reconciler(mirror, statusFiles, log);
  await using _source = new FolderSource(folder, log, (declared) => reconciler.declare(declared));
  await untilStopped(stop);
}

function etcdOptions({ etcd, etcdTls, grantsAccess }: Options): EtcdOptions {
  const credentials = etcdTls && {
    rootCertificate: readPem(etcdTls.ca),
    certChain: readPem(etcdTls.cert),
    privateKey: readPem(etcdTls.key),
  };
  return { url: etcd, credentials, grantsAccess };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path} can't be read: ${error instanceof Error ? error.message : error}`);
  }
}

async function requireFolder(path: string): Promise<void> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new UsageError(`${path} is no folder: make it, or give another one`);
}

async function main(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  try {
    const command = readOptions(process.argv.slice(2));
    if ('text' in command) {
      process.stdout.write(command.text);
      return EXIT.done;
    }
    const log = openLog(command.logLevel);
    const running = run(command, log, stop.signal);
    const isOver = await Promise.race([running.then(() => true), untilLate(stop.signal)]);
    if (isOver) log.info('stopped');
    else log.warn({ afterMs: SHUTDOWN_MS }, 'stopped without waiting for what was under way');
    return EXIT.done;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`podwall-controller: ${error.message}\npodwall-controller --help lists the options\n`);
      return EXIT.usage;
    }
    const isForeseen = error instanceof MetricsError;
    const text = error instanceof Error ? (isForeseen ? error.message : (error.stack ?? error.message)) : error;
    process.stderr.write(`podwall-controller: ${text}\n`);
    return EXIT.failed;
  }
}

async function untilLate(stop: AbortSignal): Promise<false> {
  await untilStopped(stop);
  await sleep(SHUTDOWN_MS);
  return false;
}

process.exit(await main());
