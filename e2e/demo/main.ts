#!/usr/bin/env node
// The demo: sets a stage of real servers, plays the scenarios, shows what came of them, and takes everything away.
import { cp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from '../lab/lab.ts';
import { type Say, sayTo } from '../lab/progress.ts';
import { removeAbandonedLabs, removeKeptLab } from '../lab/removal.ts';
import { HELP, type Options, parseOptions, UsageError } from './options.ts';
import { type Outcome, play } from './play.ts';
import { type Stage, setStage, WORKLOAD } from './stage.ts';
import { COLOURED, PLAIN, renderSummary, renderTable, renderThreats, summarize } from './table.ts';

const EXIT_CODE = { held: 0, failed: 1, usage: 2 } as const;
/** What a shell says of a process that this signal ended. */
const EXIT_CODE_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type EndSignal = keyof typeof EXIT_CODE_OF_SIGNAL;
const END_SIGNALS = Object.keys(EXIT_CODE_OF_SIGNAL) as EndSignal[]; // the keys of a const object are its type's

class Interrupted extends Error {
  readonly signal: EndSignal;

  constructor(signal: EndSignal) {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}

type RunOptions = Extract<Options, { action: 'run' }>;

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.action === 'help') {
    process.stdout.write(HELP);
    return EXIT_CODE.held;
  }
  if (process.getuid?.() !== 0) throw new Error('the demo makes network namespaces: run it as root');
  if (options.action === 'run') return run(options);
  await removeKeptLab(options.id);
  process.stdout.write(`removed lab ${options.id}\n`);
  return EXIT_CODE.held;
}

async function run(options: RunOptions): Promise<number> {
  const say = sayTo(options.isJson ? process.stderr : process.stdout);
  const signal = untilInterrupted();
  for (const id of await removeAbandonedLabs()) say(`removed lab ${id}, left by a run that was killed`);
  const { sections, threats, logs, kept } = await runInLab(options, signal, say);
  const rows = sections.flatMap((section) => section.rows);
  const isColoured = process.stdout.isTTY && !process.env.NO_COLOR;
  const style = isColoured ? COLOURED : PLAIN;
  if (options.isJson) process.stdout.write(`${JSON.stringify(summarize(sections))}\n`);
  else {
    const parts = [renderTable(sections, style), renderThreats(threats, style), renderSummary(rows, style)];
    process.stdout.write(`\n${parts.join('\n\n')}\n`);
  }
  if (kept !== undefined) say(kept);
  if (logs === undefined) return EXIT_CODE.held;
  process.stderr.write(`The logs are in ${logs}\n`);
  return EXIT_CODE.failed;
}

type Result = Outcome & {
  /** Where the logs are kept; undefined where all scenarios held. */
  readonly logs: string | undefined;
  /** How to use the lab that was kept. */
  readonly kept?: string;
};

async function runInLab({ keepsRunning }: RunOptions, signal: AbortSignal, say: Say): Promise<Result> {
  await using lab = await Lab.create(signal);
  try {
    const stage = await setStage(lab, say);
    const outcome = await play(stage, say);
    const allHeld = outcome.sections.every(({ rows }) => rows.every(({ held }) => held));
    if (!keepsRunning) return { ...outcome, logs: allHeld ? undefined : await copyLogs(lab) };
    await lab.keep();
    return { ...outcome, logs: allHeld ? undefined : lab.directory, kept: howToUse(stage) };
  } catch (error) {
    if (!signal.aborted) process.stderr.write(`The logs are in ${await copyLogs(lab)}\n`);
    throw error;
  }
}

/** Ctrl-C and its kin end all that waits, so that the lab is disposed of on the way out; a second one changes nothing. */
function untilInterrupted(): AbortSignal {
  const end = new AbortController();
  for (const signal of END_SIGNALS) process.on(signal, () => end.abort(new Interrupted(signal)));
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => end.abort(new Interrupted('SIGHUP')));
  return end.signal;
}

/** The lab's own folder goes with it. */
async function copyLogs(lab: Lab): Promise<string> {
  const kept = join(tmpdir(), `podwall-demo-logs-${lab.id}`);
  const logs = (await readdir(lab.directory)).filter((name) => name.endsWith('.log') || name === 'rules');
  for (const name of logs) await cp(lab.file(name), join(kept, name), { recursive: true });
  return kept;
}

const howToUse = ({ lab, podwall, workload }: Stage): string => `everything goes on, as lab ${lab.id}
         ${WORKLOAD.name}:  nsenter --net=${workload.path} bash
         node:         nsenter --net=${lab.node.path} bash
         rules:        ${podwall.rules.path} (edit them; status is written beside them)
         logs:         ${lab.directory}/*.log
         stop it:      npm run demo -- --stop ${lab.id}`;

/** The one place that decides how the demo exits. */
async function exitCode(): Promise<number> {
  try {
    return await main();
  } catch (error) {
    if (error instanceof Interrupted) {
      process.stderr.write(`demo: ${error.message}; everything it made is removed\n`);
      return EXIT_CODE_OF_SIGNAL[error.signal];
    }
    process.stderr.write(`demo: ${messageOf(error)}\n`);
    if (!(error instanceof UsageError)) return EXIT_CODE.failed;
    process.stderr.write(`\n${HELP}`);
    return EXIT_CODE.usage;
  }
}

/** Of an error that came on top of another, while that one was cleaned up after, both. */
function messageOf(error: unknown): string {
  if (error instanceof SuppressedError) return `${messageOf(error.suppressed)}; then ${messageOf(error.error)}`;
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await exitCode();
