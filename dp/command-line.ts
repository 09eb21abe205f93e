// What the command line of podwall-dp says.
import { parseArgs } from 'node:util';
import { METRICS_OPTION, type MetricsAddress, parseMetricsAddress } from '@podwall/metrics/address.ts';
import type { Options } from './dp.ts';
import { ATTACHMENTS } from './kernel/attachment.ts';
import { FLOWS } from './kernel/datapath.ts';
import { CATEGORIES, type Category } from './log.ts';

export const HELP = `usage: podwall-dp [options]

Enforces the policies that an agent sends, in the kernel. What it has put in force goes on when it stops.

  -s, --standalone    no agent: reports go to the log
  -d CATEGORIES       what to log: all, or from ctrl,packet,policy,fqdn,app,report,error (errors always are)
  --listen PATH       socket that commands come in on (default /tmp/dp_listen.sock)
  --notify PATH       the agent's socket, for reports (default /tmp/ctrl_listen.sock)
  --pin DIR           where programs and tables are kept while dp is away (default /sys/fs/bpf/podwall)
  --attach KIND       how programs sit on interfaces: tcx, clsact, or auto (default): tcx where the kernel has it
  --flows N           how many connections the kernel keeps, ${FLOWS.least} to ${FLOWS.most} (default ${FLOWS.usual}); of more,
                      those idle longest are forgotten. A million take 169 MiB of memory
  --metrics WHERE     serve metrics for Prometheus, /healthz and /readyz over HTTP; WHERE is a port of 127.0.0.1, or
                      ADDRESS:PORT. Not served unless told; takes 8 MiB of memory more
  --detach            take everything off that a dp with this --pin left in force, and exit
  -h, --help          this text
  -V, --version       the version

NODE_COMPILE_CACHE says where compiled code is kept (default /var/cache/podwall).
SIGUSR1 prints every workload, its policy, the table of names and what was lost to the log. SIGTERM and SIGINT stop dp.
`;
export class UsageError extends Error {
  readonly code = 'USAGE';
}

export type CommandLine = {
  readonly action: 'help' | 'version' | 'detach' | 'run';
  readonly options: Options;
  readonly categories: ReadonlySet<Category>;
  readonly metrics: MetricsAddress | undefined;
};

/** Throws UsageError, or the platform's own TypeError, for what can't be read. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { values } = parseArgs({
    args: [...args],
    options: {
      standalone: { type: 'boolean', short: 's', default: false },
      debug: { type: 'string', short: 'd', default: 'error' },
      listen: { type: 'string', default: '/tmp/dp_listen.sock' },
      notify: { type: 'string', default: '/tmp/ctrl_listen.sock' },
      pin: { type: 'string', default: '/sys/fs/bpf/podwall' },
      attach: { type: 'string', default: 'auto' },
      flows: { type: 'string', default: String(FLOWS.usual) },
      metrics: { type: 'string' },
      detach: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      version: { type: 'boolean', short: 'V', default: false },
    },
  });
  const { listen, notify, pin, standalone } = values;
  return {
    action: values.help ? 'help' : values.version ? 'version' : values.detach ? 'detach' : 'run',
    options: {
      listen,
      notify,
      pin,
      attach: attachment(values.attach),
      flows: flowCount(values.flows),
      isStandalone: standalone,
    },
    categories: parseCategories(values.debug),
    metrics: metricsAddress(values.metrics),
  };
}

function attachment(text: string): Options['attach'] {
  const kind = ATTACHMENTS.find((known) => known === text);
  if (!kind) throw new UsageError(`--attach ${text}: use ${ATTACHMENTS.join(', ')}`);
  return kind;
}

function metricsAddress(text: string | undefined): MetricsAddress | undefined {
  const address = text === undefined ? undefined : parseMetricsAddress(text);
  if (text === undefined || address) return address;
  throw new UsageError(`--metrics ${text}: use ${METRICS_OPTION}`);
}

function flowCount(text: string): number {
  const flows = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (flows >= FLOWS.least && flows <= FLOWS.most) return flows;
  throw new UsageError(`--flows ${text}: use a number from ${FLOWS.least} to ${FLOWS.most}`);
}

/** `all`, or categories joined by commas. */
function parseCategories(text: string): ReadonlySet<Category> {
  if (text === 'all') return new Set(CATEGORIES);
  const wanted = text.split(',').map((name) => name.trim());
  const unknown = wanted.filter((name) => !CATEGORIES.some((category) => category === name));
  if (unknown.length > 0)
    throw new UsageError(`-d ${text}: ${unknown.join(', ')}: categories are all, ${CATEGORIES.join(', ')}`);
  return new Set(CATEGORIES.filter((category) => wanted.includes(category)));
}
