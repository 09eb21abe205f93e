// A storm of reports: one workload opens denied flows as fast as it can, and another goes on as if nothing was.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { mustRun } from '../lab/command.ts';
import { inside } from '../lab/namespace.ts';
import { poll } from '../lab/wait.ts';
import { type Check, holds } from './checks.ts';
import { LONG_FLOW_NAMES, type LongFlowName } from './flows.ts';
import { type Scene, setScene } from './scene.ts';

export type StormOptions = {
  /** New flows, and how many of them a second at most. */
  readonly flows: number;
  readonly rate: number;
  readonly signal: AbortSignal;
  readonly say: (what: string) => void;
};

const SENDER = `${import.meta.dirname}/new-flows.py`;
const TALK_MS = 20;
const SETTLE_MS = 60_000;
const TIMEOUT_MS = 120_000;
const MOST_DP_MIB = 256;
const CLOCK_TICKS = 100; // USER_HZ
const KIB_PER_MIB = 1024;
const ALLOWED: readonly LongFlowName[] = ['steady', 'inbound', 'named'];

type Storm = { readonly sent: number; readonly seconds: number; readonly dpSeconds: number; readonly dpMib: number };

/** Needs root. */
export async function runStorm(options: StormOptions): Promise<readonly Check[]> {
  await using stack = new AsyncDisposableStack();
  const scene = await setScene(stack, { ...options, workloads: 2, seed: 0 });
  options.say(`storm: ${options.flows.toLocaleString('en-US')} denied new flows`);
  const storm = await blow(scene, options);
  options.say('storm: waiting for the last reports');
  const judged = async () => judge(scene, storm);
  const settled = async () => (holds(judge(scene, storm)) ? judge(scene, storm) : undefined);
  const { signal } = options;
  return (await poll(settled, { timeoutMs: SETTLE_MS, everyMs: 500, signal })) ?? (await judged());
}

/** Meanwhile the other workload's allowed flows go on. */
async function blow({ dp, traffic, endpoints, places }: Scene, { flows, rate, signal }: StormOptions): Promise<Storm> {
  const [{ ip, mac } = { ip: '', mac: '' }] = endpoints;
  const [{ namespace } = { namespace: '' }] = places;
  const before = await usageOf(dp.pid);
  const end = new AbortController();
  const talking = talk(traffic, end.signal);
  const command = inside({ name: '', path: namespace }, ['python3', SENDER, 'eth0', mac, ip, `${flows}`, `${rate}`]);
  const { stdout } = await mustRun(command, { signal, timeoutMs: TIMEOUT_MS }).finally(() => end.abort());
  await talking;
  const after = await usageOf(dp.pid);
  const [sent = 0, seconds = 0] = stdout.trim().split(' ').map(Number);
  const refused = await refusedOf(namespace);
  return { sent: sent - refused, seconds, dpSeconds: after.seconds - before.seconds, dpMib: after.mib };
}

async function talk(traffic: Scene['traffic'], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const flow of ALLOWED) traffic.sendLong(1, flow);
    traffic.sendShort(1, 'newAllowed');
    await sleep(TALK_MS);
  }
}

/** Frames for which the kernel had no room on their way from one end of the interface to the other. */
async function refusedOf(namespace: string): Promise<number> {
  const { stdout } = await mustRun(inside({ name: '', path: namespace }, ['ip', '-j', '-s', 'link', 'show', 'eth0']));
  const [link]: { stats64: { tx: { dropped: number } } }[] = JSON.parse(stdout); // as iproute2 prints it
  return link?.stats64.tx.dropped ?? 0;
}

/** CPU time of a process so far, and the most memory that it had. */
async function usageOf(pid: number | undefined): Promise<{ readonly seconds: number; readonly mib: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number);
  const mib = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / KIB_PER_MIB;
  return { seconds: (user + system) / CLOCK_TICKS, mib };
}

function judge({ reports, traffic, endpoints, agent }: Scene, storm: Storm): Check[] {
  const [{ mac } = { mac: '' }] = endpoints;
  /** The storming workload's own denied flows, of which each sent one packet before. */
  const earlier = LONG_FLOW_NAMES.filter((flow) => flow.startsWith('denied')).length;
  const reported = reports.packetsOf(mac) - earlier;
  const hits = reports.hits().get(`${mac} 0`) ?? 0;
  const books = [...ALLOWED, 'newAllowed' as const].map((flow) => traffic.bookOf(1, flow));
  const lost = books.reduce((sum, book) => sum + book.missing().length, 0);
  const unanswered = ALLOWED.reduce((sum, flow) => sum + traffic.bookOf(1, flow).unanswered().length, 0);
  const sent = books.reduce((sum, book) => sum + book.sums.sent, 0);
  const text = (count: number) => count.toLocaleString('en-US');
  const check = (name: string, wanted: string, seen: string, holds?: boolean): Check => ({
    name,
    wanted,
    seen,
    ...(holds !== undefined && { holds }),
  });
  return [
    check('denied new flows a second', '', text(Math.round(storm.sent / storm.seconds))),
    check('hits of the rule: flows sent', text(storm.sent), text(hits), hits === storm.sent),
    check(
      'reported, and reported as lost: flows sent',
      text(storm.sent),
      `${text(reported)} + ${text(reports.lost)} = ${text(reported + reports.lost)}`,
      reported + reports.lost === storm.sent && reports.lost > 0,
    ),
    check('reports that did not reach the agent', '0', text(agent.reportsLost), agent.reportsLost === 0),
    check('another workload’s allowed datagrams lost', '0', `${text(lost)} of ${text(sent)}`, lost === 0 && sent > 0),
    check('answers to them lost', '0', text(unanswered), unanswered === 0),
    check(
      'memory of dp, at most',
      `≤ ${MOST_DP_MIB} MiB`,
      `${text(Math.round(storm.dpMib))} MiB`,
      storm.dpMib <= MOST_DP_MIB,
    ),
    check('CPU of dp meanwhile, of one', '', `${Math.round((100 * storm.dpSeconds) / storm.seconds)} %`),
  ];
}
