// What podwall-dp does, by its command line.
import { existsSync, readFileSync } from 'node:fs';
import { MetricsError } from '@podwall/metrics/errors.ts';
import { type CommandLine, HELP, readCommandLine, UsageError } from './command-line.ts';
import { Dp } from './dp.ts';
import { detachAll } from './kernel/attachment.ts';
import { PinDirectory, PinError } from './kernel/bpffs.ts';
import { SocketError } from './kernel/command-socket.ts';
import { KernelError } from './kernel/libbpf.ts';
import { LoadError } from './kernel/program-object.ts';
import { createLog } from './log.ts';
import { detachPorts } from './ports/detach-ports.ts';

const USAGE = 2;

type ServeMetrics = typeof import('./serve-metrics.ts').serveMetrics;

const version = (): string => JSON.parse(readFileSync(`${import.meta.dirname}/package.json`, 'utf8')).version;

async function run({ options, categories, metrics }: CommandLine): Promise<void> {
  const log = createLog(categories);
  await using _metrics = metrics && (await serve(metrics, () => dp, log));
  using dp = new Dp(options, log);
  process.on('SIGUSR1', () => process.stdout.write(`${dp.dump()}\n`));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      log.notice('dp stops; what it put in force goes on', { signal });
      dp[Symbol.dispose]();
    });
  await dp.run();
}

/** Loaded only where it is asked for: it takes memory. */
async function serve(...of: Parameters<ServeMetrics>): ReturnType<ServeMetrics> {
  const { serveMetrics } = await import('./serve-metrics.ts');
  return serveMetrics(...of);
}

/** Taking the pins away ends the programs on every interface, and with them the tables. */
function detach({ options }: CommandLine): void {
  using pins = PinDirectory.open(options.pin);
  if (existsSync(pins.links)) detachAll(pins.links);
  detachPorts(pins.path);
  pins.remove();
}

async function carryOut(args: readonly string[]): Promise<void> {
  const said = readCommandLine(args);
  if (said.action === 'help') process.stdout.write(HELP);
  else if (said.action === 'version') process.stdout.write(`podwall-dp ${version()}\n`);
  else if (said.action === 'detach') detach(said);
  else await run(said);
}

const isUsage = (error: unknown): boolean =>
  error instanceof UsageError ||
  (error instanceof TypeError && 'code' in error && `${error.code}`.startsWith('ERR_PARSE_ARGS'));

/** Answers the exit code; what is a mistake of dp itself goes on as it is. */
export async function start(args: readonly string[]): Promise<number> {
  try {
    await carryOut(args);
    return 0;
  } catch (error) {
    const isOwn = [PinError, SocketError, LoadError, KernelError, MetricsError].some((kind) => error instanceof kind);
    if (!isUsage(error) && !isOwn) throw error;
    process.stderr.write(`podwall-dp: ${error instanceof Error ? error.message : error}\n`);
    if (isUsage(error)) process.stderr.write('podwall-dp --help lists the options\n');
    return isUsage(error) ? USAGE : 1;
  }
}
