#!/usr/bin/env node
// The soak's command line: runs it, writes the table, and says by its exit code whether everything held.
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { KernelError } from '../../dp/kernel/libbpf.ts';
import { LabError } from '../lab/failure.ts';
import { removeAbandonedLabs } from '../lab/removal.ts';
import { holds } from './checks.ts';
import { HELP, type Options, parseOptions, UsageError } from './options.ts';
import { runSoak } from './soak.ts';
import { runStorm } from './storm.ts';
import { type Result, renderJson, renderMarkdown } from './table.ts';

const EXIT = { failed: 1, usage: 2, interrupted: 130 } as const;
const SEEDS = 2 ** 32;
const STORM = { flows: 1_000_000, rate: 100_000 } as const;

class Interrupted extends Error {}

const say = (words: string): void => void process.stderr.write(`soak: ${words}\n`);

async function soak(options: Extract<Options, { action: 'run' }>, signal: AbortSignal): Promise<Result> {
  for (const id of await removeAbandonedLabs()) say(`removed what the killed run ${id} had left`);
  const checks = options.isStorm
    ? await runStorm({ ...STORM, signal, say })
    : await runSoak({ ...options, signal, say });
  return { conditions: conditions(options), checks };
}

const conditions = ({ isStorm, seconds, workloads, kills, seed }: Extract<Options, { action: 'run' }>) => ({
  machine: `${cpus().length} × ${cpus()[0]?.model ?? process.arch}, Linux ${release()}, Node ${process.version}`,
  run: isStorm
    ? `${STORM.flows.toLocaleString('en-US')} denied new flows, at most ${STORM.rate.toLocaleString('en-US')} a second`
    : `${seconds} s, ${workloads} workloads, 20 changes a second, ${kills} kills, seed ${seed}`,
  load: `${loadavg()[0]?.toFixed(1)} processes over the last minute, the soak’s own and dp among them`,
  ended: new Date().toISOString(),
});

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args, randomInt(SEEDS));
  if (options.action === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => end.abort(new Interrupted()));
  const result = await soak(options, end.signal);
  process.stdout.write(renderMarkdown(result));
  if (options.json !== undefined) writeFileSync(options.json, renderJson(result));
  return holds(result.checks) ? 0 : EXIT.failed;
}

/** Says what went wrong, and answers the exit code for it; what is a mistake of the soak itself goes on as it is. */
function explain(error: unknown): number {
  if (error instanceof Interrupted) {
    say('stopped; everything it made is removed');
    return EXIT.interrupted;
  }
  if (error instanceof UsageError) {
    say(`${error.message}\nsoak: --help lists the options`);
    return EXIT.usage;
  }
  if (!(error instanceof LabError || error instanceof KernelError)) throw error;
  say(error.message);
  return EXIT.failed;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = explain(error);
}
