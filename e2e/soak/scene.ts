// The soak's network: a node with dp, workloads with their flows, and the agent that tells dp what is wanted.
import pino from 'pino';
import { Lab } from '../lab/lab.ts';
import { configure } from '../lab/namespace.ts';
import { dpSocket, notifySocket, startDp } from '../lab/podwall.ts';
import type { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { type Endpoint, SoakAgent } from './agent.ts';
import { LONG_FLOW_NAMES, namedIp, PEER_IP } from './flows.ts';
import { Random } from './random.ts';
import { Reports } from './reports.ts';
import { type Place, Traffic } from './traffic.ts';

export type Scene = {
  readonly lab: Lab;
  readonly dp: LabProcess;
  readonly agent: SoakAgent;
  readonly traffic: Traffic;
  readonly reports: Reports;
  readonly places: readonly Place[];
  readonly endpoints: readonly Endpoint[];
  readonly random: Random;
};

export type SceneOptions = { readonly workloads: number; readonly seed: number; readonly signal: AbortSignal };

const FIRST_HOST = 10;
const AT_ONCE = 8;
const READY_MS = 60_000;

/** All of it goes with the stack. Resolves once every policy is in force and every flow has been there and back. */
export async function setScene(stack: AsyncDisposableStack, options: SceneOptions): Promise<Scene> {
  const { workloads, seed, signal } = options;
  const lab = stack.use(await Lab.create(signal));
  const endpoints = Array.from({ length: workloads }, (_, i) => endpointOf(i));
  const peerIps = [PEER_IP, ...endpoints.map((_, i) => namedIp(i))];
  await configure(
    lab.node,
    peerIps.map((ip) => `address add ${ip}/32 dev lo`),
    { signal },
  );
  const places = await addWorkloads(lab, endpoints);
  const reports = new Reports();
  const random = new Random(seed);
  const dp = await startDp(lab, ['-d', 'error']);
  let traffic: Traffic | undefined;
  const agent = stack.use(
    new SoakAgent({
      dpPath: dpSocket(lab),
      notifyPath: notifySocket(lab),
      endpoints,
      random,
      log: pino({ level: 'silent' }),
      onTurn: (workload) => traffic?.bookOf(workload, 'probe').unsettle(),
      onReport: (report) => reports.take(report),
    }),
  );
  const areRealized = async () => agent.realized === workloads || undefined;
  await waitFor('dp to confirm every policy', areRealized, { timeoutMs: READY_MS, signal });
  traffic = stack.use(await Traffic.start(lab.node.path, places));
  await openFlows(traffic, signal);
  return { lab, dp, agent, traffic, reports, places, endpoints, random };
}

function endpointOf(i: number): Endpoint {
  const host = FIRST_HOST + i;
  return { iface: `soak${i}`, mac: `02:00:00:00:50:${host.toString(16).padStart(2, '0')}`, ip: `192.168.1.${host}` };
}

async function addWorkloads(lab: Lab, endpoints: readonly Endpoint[]): Promise<Place[]> {
  const places: Place[] = [];
  for (let at = 0; at < endpoints.length; at += AT_ONCE)
    places.push(
      ...(await Promise.all(endpoints.slice(at, at + AT_ONCE).map((endpoint) => addWorkload(lab, endpoint)))),
    );
  return places;
}

async function addWorkload(lab: Lab, { iface, mac, ip }: Endpoint): Promise<Place> {
  const { path } = await lab.addWorkload({ name: iface, ip, mac, hostInterface: iface });
  return { namespace: path, ip };
}

/** Before anything changes: what is open and identified then stays so. */
async function openFlows(traffic: Traffic, signal: AbortSignal): Promise<void> {
  for (let i = 0; i < traffic.workloads; i++) {
    for (const flow of LONG_FLOW_NAMES) traffic.sendLong(i, flow);
    traffic.sendLine(i);
  }
  const open = [...LONG_FLOW_NAMES.filter((flow) => !flow.startsWith('denied')), 'connection'] as const;
  const areOpen = async () =>
    open.every((flow) => traffic.booksOf(flow).every(({ sums }) => sums.answered === sums.sent)) || undefined;
  await waitFor('every flow to be answered', areOpen, { timeoutMs: READY_MS, signal });
}
