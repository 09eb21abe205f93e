#!/usr/bin/env node
// The fuzzer's command line: runs the parts that it is asked for, and says what they have come to.
import { KernelError } from '../kernel/libbpf.ts';
import { LoadError } from '../kernel/program-object.ts';
import { HELP, type Options, type Part, parseOptions, UsageError } from './options.ts';
import { FUZZERS } from './parts.ts';
import { jsonOfResults, type PartResult, textOfResult } from './summary.ts';

const EXIT = { found: 1, failed: 1, usage: 2, interrupted: 130 } as const;
const PROGRESS_MS = 3000;
const MINUTE_MS = 60_000;
/** Of the time: most for what has the most that can be wrong. */
const SHARE: Readonly<Record<Part, number>> = { verdicts: 3, frames: 1, datagrams: 2 };

const say = (words: string) => process.stderr.write(`fuzz: ${words}\n`);

async function runPart(part: Part, seed: number, ms: number, signal: AbortSignal): Promise<PartResult> {
  const start = performance.now();
  let nextProgress = start + PROGRESS_MS;
  say(`${part}, from seed ${seed}, for ${Math.round(ms / 1000)} s`);
  const outcome = await FUZZERS[part]({
    seed,
    isOver: () => signal.aborted || performance.now() - start >= ms,
    progress: (counts) => {
      if (performance.now() < nextProgress) return;
      nextProgress = performance.now() + PROGRESS_MS;
      const list = Object.entries(counts).map(([what, count]) => `${count.toLocaleString('en-US')} ${what}`);
      say(`${part}: ${Math.round((performance.now() - start) / 1000)} s, ${list.join(', ')}`);
    },
  });
  return { part, seconds: (performance.now() - start) / 1000, ...outcome };
}

async function run({ minutes, parts, seed, isJson }: Extract<Options, { action: 'run' }>): Promise<number> {
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => {
      say('stops');
      end.abort();
    });
  const shares = parts.reduce((sum, part) => sum + SHARE[part], 0);
  const results: PartResult[] = [];
  for (const part of parts) {
    if (end.signal.aborted) break;
    results.push(await runPart(part, seed, (minutes * MINUTE_MS * SHARE[part]) / shares, end.signal));
  }
  process.stdout.write(`${isJson ? jsonOfResults(results) : results.map(textOfResult).join('\n\n')}\n`);
  if (results.some(({ finding }) => finding)) return EXIT.found;
  return end.signal.aborted ? EXIT.interrupted : 0;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args, Math.floor(Date.now() / 1000));
  if (options.action === 'run') return run(options);
  process.stdout.write(HELP);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = explain(error);
}

/** Says what went wrong, and answers the exit code for it; what is a mistake of the fuzzer itself goes on as it is. */
function explain(error: unknown): number {
  if (error instanceof UsageError) {
    say(`${error.message}\nfuzz: --help lists the options`);
    return EXIT.usage;
  }
  if (!(error instanceof LoadError || error instanceof KernelError)) throw error;
  say(error.message);
  return EXIT.failed;
}
