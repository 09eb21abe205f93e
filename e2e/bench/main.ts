#!/usr/bin/env node
// The bench's command line: measures what it is asked to, and writes the table.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { KernelError } from '../../dp/kernel/libbpf.ts';
import { mustRun } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import { removeAbandonedLabs } from '../lab/removal.ts';
import type { Bench } from './bench.ts';
import { measureChanges, profileChanges } from './change.ts';
import { DpError } from './dp-client.ts';
import { type Figure, type Judged, judge } from './figure.ts';
import { measureFlowTable } from './flow-table.ts';
import { measureMemory } from './memory.ts';
import { HELP, type Options, type Part, parseOptions, UsageError } from './options.ts';
import { measureProgramTime } from './program-time.ts';
import { type Profile, renderJson, renderMarkdown } from './table.ts';
import { measureTraffic } from './traffic.ts';

const EXIT = { failed: 1, usage: 2, interrupted: 130 } as const;
/** Short, so that what else the machine does meets all variants of a round alike. */
const SECONDS = 1;

const MEASURES: Readonly<Record<Part, (bench: Bench) => AsyncIterable<Figure>>> = {
  traffic: measureTraffic,
  program: measureProgramTime,
  change: measureChanges,
  memory: measureMemory,
  flows: measureFlowTable,
};

class Interrupted extends Error {}

async function measure(options: Extract<Options, { action: 'run' }>, signal: AbortSignal): Promise<void> {
  const { isQuick, parts, rounds, json, markdown } = options;
  const say = (what: string) => process.stderr.write(`bench: ${what}\n`);
  const bench: Bench = { signal, isQuick, rounds, seconds: SECONDS, say };
  for (const id of await removeAbandonedLabs()) say(`removed what the killed run ${id} had left`);
  await mustRun(['make', '--silent', '-C', `${import.meta.dirname}/bpf`], { signal });
  const figures: Judged[] = [];
  const profiles: Profile[] = [];
  for (const part of parts) {
    for await (const figure of MEASURES[part](bench)) figures.push(judge(figure));
    if (part === 'change') profiles.push(...(await profileChanges(bench)));
  }
  const result = { conditions: conditions(bench), figures, profiles };
  if (json !== undefined) writeFileSync(json, renderJson(result));
  if (markdown === undefined) process.stdout.write(renderMarkdown(result));
  else writeFileSync(markdown, renderMarkdown(result));
}

const conditions = ({ rounds, seconds, isQuick }: Bench): Record<string, string> => ({
  machine: `${cpus().length} × ${cpus()[0]?.model ?? process.arch}, Linux ${release()}, Node ${process.version}`,
  runs: `${rounds} interleaved rounds${isQuick ? ' (quick)' : ''}, ${seconds} s of traffic each`,
  load: `${loadavg()[0]?.toFixed(1)} processes over the last minute; the bench’s own are one or two of them`,
  measured: new Date().toISOString(),
});

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.action === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => end.abort(new Interrupted()));
  await measure(options, end.signal);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = explain(error);
}

/** Says what went wrong, and answers the exit code for it; what is a mistake of the bench itself goes on as it is. */
function explain(error: unknown): number {
  const say = (words: string) => process.stderr.write(`bench: ${words}\n`);
  if (error instanceof Interrupted) {
    say('stopped; everything it made is removed');
    return EXIT.interrupted;
  }
  if (error instanceof UsageError) {
    say(`${error.message}\nbench: --help lists the options`);
    return EXIT.usage;
  }
  if (!(error instanceof LabError || error instanceof DpError || error instanceof KernelError)) throw error;
  say(error.message);
  return EXIT.failed;
}
