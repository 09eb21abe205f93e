#!/usr/bin/env node
// The agent of one node: reads the command line, runs until it is told to end.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { MetricsError } from '@podwall/metrics/errors.ts';
import { pino } from 'pino';
import { Agent } from './agent.ts';
import { DatagramError } from './dp/datagram.ts';
import { type Run, readCommandLine, USAGE, UsageError } from './options.ts';
import packageJson from './package.json' with { type: 'json' };
import { serveMetrics } from './serve-metrics.ts';

const EXIT = { failure: 1, usage: 2 } as const;
const SHUTDOWN_MS = 2000;

async function run({ etcdUrl, etcdTls, metrics, logLevel, ...rest }: Run): Promise<void> {
  const log = pino({ level: logLevel, base: { node: rest.node } }, pino.destination({ sync: true }));
  const credentials = etcdTls && {
    rootCertificate: readFileSync(etcdTls.ca),
    ...(etcdTls.cert !== undefined && { certChain: readFileSync(etcdTls.cert) }),
    ...(etcdTls.key !== undefined && { privateKey: readFileSync(etcdTls.key) }),
  };
  const ended = AbortSignal.any(['SIGTERM', 'SIGINT'].map(abortOn));
  await using _metrics = await serveMetrics(metrics, () => agent.state(), log);
  await using agent = new Agent({ ...rest, etcd: { url: etcdUrl, ...(credentials && { credentials }) } }, log);
  log.info({ version: packageJson.version, pid: process.pid, etcd: etcdUrl }, 'agent started');
  if (!ended.aborted) await once(ended, 'abort');
  setTimeout(() => process.exit(EXIT.failure), SHUTDOWN_MS).unref();
  log.info('agent ends, policies stay in force');
}

function abortOn(signal: string): AbortSignal {
  const controller = new AbortController();
  process.once(signal, () => controller.abort());
  return controller.signal;
}

try {
  const commandLine = readCommandLine(process.argv.slice(2));
  if (commandLine.kind === 'help') process.stdout.write(USAGE);
  else if (commandLine.kind === 'version') process.stdout.write(`${packageJson.version}\n`);
  else await run(commandLine);
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`podwall-agent: ${error.message}\npodwall-agent --help lists the options\n`);
    process.exitCode = EXIT.usage;
  } else if (
    error instanceof DatagramError ||
    error instanceof MetricsError ||
    (error instanceof Error && 'syscall' in error)
  ) {
    process.stderr.write(`podwall-agent: ${error.message}\n`);
    process.exitCode = EXIT.failure;
  } else throw error;
}
