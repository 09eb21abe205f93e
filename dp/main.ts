#!/usr/bin/env node
// podwall-dp: the command line.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Dp, type Options } from './dp.ts';
import { PinDirectory, PinError } from './kernel/bpffs.ts';
import { SocketError } from './kernel/command-socket.ts';
import { LoadError } from './kernel/datapath.ts';
import { KernelError } from './kernel/libbpf.ts';
import { type Category, CategoryError, createLog, parseCategories } from './log.ts';

const HELP = `usage: podwall-dp [options]

Enforces the policies that an agent sends, in the kernel. What it has put in force goes on when it stops.

  -s, --standalone    no agent: reports go to the log
  -d CATEGORIES       what to log: all, or from ctrl,packet,policy,fqdn,app,report,error (default: error)
  --listen PATH       socket that commands come in on (default /tmp/dp_listen.sock)
  --notify PATH       the agent's socket, for reports (default /tmp/ctrl_listen.sock)
  --pin DIR           where programs and tables are kept while dp is away (default /sys/fs/bpf/podwall)
  --detach            take everything off that a dp with this --pin left in force, and exit
  -h, --help          this text
  -V, --version       the version

SIGUSR1 prints every workload, its policy and the table of names to the log. SIGTERM and SIGINT stop dp.
`;
const USAGE = 2;

function options(): { readonly options: Options; readonly categories: ReadonlySet<Category>; readonly action: string } {
  const { values } = parseArgs({
    options: {
      standalone: { type: 'boolean', short: 's', default: false },
      debug: { type: 'string', short: 'd', default: 'error' },
      listen: { type: 'string', default: '/tmp/dp_listen.sock' },
      notify: { type: 'string', default: '/tmp/ctrl_listen.sock' },
      pin: { type: 'string', default: '/sys/fs/bpf/podwall' },
      detach: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      version: { type: 'boolean', short: 'V', default: false },
    },
  });
  const { listen, notify, pin, standalone } = values;
  return {
    options: { listen, notify, pin, isStandalone: standalone },
    categories: parseCategories(values.debug),
    action: values.help ? 'help' : values.version ? 'version' : values.detach ? 'detach' : 'run',
  };
}

const version = (): string => JSON.parse(readFileSync(`${import.meta.dirname}/package.json`, 'utf8')).version;

async function run(options: Options, categories: ReadonlySet<Category>): Promise<void> {
  const log = createLog(categories);
  using dp = new Dp(options, log);
  process.on('SIGUSR1', () => process.stdout.write(`${dp.dump()}\n`));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      log.notice('dp stops; what it put in force goes on', { signal });
      dp[Symbol.dispose]();
    });
  await dp.run();
}

/** Taking the pins away ends the programs on every interface, and with them the tables. */
function detach({ pin }: Options): void {
  using pins = PinDirectory.open(pin);
  pins.remove();
}

async function main(): Promise<void> {
  const { options: chosen, categories, action } = options();
  if (action === 'help') process.stdout.write(HELP);
  else if (action === 'version') process.stdout.write(`podwall-dp ${version()}\n`);
  else if (action === 'detach') detach(chosen);
  else await run(chosen, categories);
}

const isUsage = (error: unknown): boolean =>
  error instanceof CategoryError ||
  (error instanceof TypeError && 'code' in error && `${error.code}`.startsWith('ERR_PARSE_ARGS'));

try {
  await main();
} catch (error) {
  const isOwn = [PinError, SocketError, LoadError, KernelError].some((kind) => error instanceof kind);
  if (!isUsage(error) && !isOwn) throw error;
  process.stderr.write(`podwall-dp: ${error instanceof Error ? error.message : error}\n`);
  if (isUsage(error)) process.stderr.write('podwall-dp --help lists the options\n');
  process.exitCode = isUsage(error) ? USAGE : 1;
}
