// Podwall itself in a lab's node: etcd, dp, the controller and the agent, each a process that can be killed.
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Command } from './command.ts';
import type { Lab } from './lab.ts';
import type { Namespace } from './namespace.ts';
import type { LabProcess } from './process.ts';
import { RuleFolder } from './rule-folder.ts';
import { waitFor } from './wait.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Below the ports that connections leave from; in a namespace of its own whatever is chosen is free. */
export const ETCD_PORT = randomInt(20_000, 30_000);
export const ETCD_URL = `http://127.0.0.1:${ETCD_PORT}`;
const ETCD_PEER_URL = `http://127.0.0.1:${ETCD_PORT + 1}`;
const READY_TIMEOUT_MS = 20_000;
export const NODE = 'node-1';

/** A pod of the node: what the agent takes for one, in place of a container runtime's word. */
export type PodOnNode = {
  readonly namespace: string;
  readonly name: string;
  readonly netns: Namespace;
  readonly interface: string;
};

export type Podwall = {
  readonly rules: RuleFolder;
  readonly etcd: LabProcess;
  readonly dp: LabProcess;
  readonly controller: LabProcess;
  readonly agent: LabProcess;
};

/** Of the node's loopback, where the three serve metrics. */
export const METRICS_PORT = { controller: 9470, agent: 9471, dp: 9472 } as const;

/** `isMeasured`: with metrics. */
export type PodwallOptions = {
  readonly pods: readonly PodOnNode[];
  readonly resolver: string;
  readonly isMeasured?: boolean;
};

/** Resolves once etcd answers; the others find each other. */
export async function startPodwall(lab: Lab, options: PodwallOptions): Promise<Podwall> {
  const { pods, resolver, isMeasured = false } = options;
  const metrics = (of: keyof typeof METRICS_PORT) => (isMeasured ? ['--metrics', String(METRICS_PORT[of])] : []);
  const rules = await RuleFolder.create(lab.file('rules'), lab.signal);
  const workloads = pods.map(({ netns, ...pod }) => ({ ...pod, netns: netns.path }));
  await writeFile(lab.file('workloads.yaml'), stringify(workloads));
  const [etcd, dp] = await Promise.all([startEtcd(lab), startDp(lab, ['-d', 'ctrl,policy,error', ...metrics('dp')])]);
  const [controller, agent] = await Promise.all([
    lab.start(
      'controller',
      lab.node,
      podwall('controller', ['--etcd', ETCD_URL, '--source', rules.path, ...metrics('controller')]),
    ),
    lab.start(
      'agent',
      lab.node,
      podwall('agent', [
        ...['--node', NODE, '--etcd', ETCD_URL, ...dpSockets(lab)],
        ...['--workloads', `netns:${lab.file('workloads.yaml')}`, '--resolver', resolver, ...metrics('agent')],
      ]),
    ),
  ]);
  return { rules, etcd, dp, controller, agent };
}

/** dp with its sockets and pins in the lab's own places. Resolves once it takes commands. */
export async function startDp(lab: Lab, options = ['-d', 'ctrl,policy,error']): Promise<LabProcess> {
  const places = ['--listen', dpSocket(lab), '--notify', notifySocket(lab), '--pin', lab.pins];
  const dp = await lab.start('dp', lab.node, podwall('dp', [...places, ...options]));
  const probe = async () => existsSync(dpSocket(lab)) || undefined;
  await waitFor('dp to listen', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
  return dp;
}

export const dpSocket = (lab: Lab): string => lab.file('dp.sock');
export const notifySocket = (lab: Lab): string => lab.file('notify.sock');
export const dpSockets = (lab: Lab): string[] => ['--dp', dpSocket(lab), '--notify', notifySocket(lab)];

export const podwall = (part: 'dp' | 'controller' | 'agent', options: readonly string[]): Command => [
  process.execPath,
  join(ROOT, part, 'main.ts'),
  ...options,
];

export async function startEtcd(lab: Lab): Promise<LabProcess> {
  const etcd = await lab.start('etcd', lab.node, [
    'etcd',
    ...['--data-dir', lab.file('etcd')],
    ...['--listen-client-urls', ETCD_URL, '--advertise-client-urls', ETCD_URL],
    ...['--listen-peer-urls', ETCD_PEER_URL, '--initial-advertise-peer-urls', ETCD_PEER_URL],
    ...['--initial-cluster', `default=${ETCD_PEER_URL}`],
    ...['--heartbeat-interval', '20', '--election-timeout', '200'], // ms; alone, it waits for this at each start
  ]);
  const probe = async () =>
    (await lab.run(lab.node, ['curl', '--silent', '--fail', `${ETCD_URL}/health`])).code === 0 || undefined;
  await waitFor('etcd to answer', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
  return etcd;
}
