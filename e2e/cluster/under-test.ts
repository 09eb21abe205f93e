// The cluster that the end-to-end tests run on, and what they ask of it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, type Completed, mustRun, type RunOptions, run } from '../lab/command.ts';
import { poll } from '../lab/wait.ts';
import { kind } from './kind.ts';
import { kubectl } from './kubectl.ts';
import { local } from './local.ts';
import { clusterNamed } from './places.ts';
import type { Provider } from './provider.ts';

/** As `main.ts test` says; by hand, a test runs on the cluster "dev". */
export const cluster = clusterNamed(process.env.PODWALL_CLUSTER ?? 'dev');

const POD_TIMEOUT_MS = 60_000;

export function provider(): Provider {
  return readFileSync(join(cluster.directory, 'provider'), 'utf8') === 'kind' ? kind : local;
}

/** Output of kubectl; throws unless it exits with 0. */
export async function kube(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return (await mustRun(kubectl(cluster, ...args), options)).stdout.trim();
}

export const apply = (resources: readonly object[]): Promise<string> =>
  kube(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: resources }) });

/** Runs in a pod's first container. */
export const inPod = (namespace: string, pod: string, ...command: Command): Promise<Completed> =>
  run(kubectl(cluster, '-n', namespace, 'exec', pod, '--', ...command));

export async function onNode(node: string, ...command: Command): Promise<Completed> {
  return run(await provider().inNode(cluster, node, command));
}

export type PodWish = {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
};

/** A pod of one container that ends at once when deleted, and never starts again. */
export const pod = ({ namespace, name, node, labels = {}, ...container }: PodWish): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name, labels },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 0,
    restartPolicy: 'Never',
    containers: [{ name: 'main', imagePullPolicy: 'Never', ...container }],
  },
});

export const namespace = (name: string): object => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });

/** Waits until the pod is in this phase; fails with what is known of the pod where it ends otherwise, or takes too long. */
export async function untilPhase(of: string, name: string, phase: 'Running' | 'Succeeded'): Promise<void> {
  const settled = async () => {
    const now = await kube(['-n', of, 'get', 'pod', name, '-o', 'jsonpath={.status.phase}']);
    return [phase, 'Failed', 'Succeeded'].includes(now) ? now : undefined;
  };
  const reached = await poll(settled, { timeoutMs: POD_TIMEOUT_MS });
  if (reached === phase) return;
  const [described, logs] = await Promise.all([
    kube(['-n', of, 'describe', 'pod', name]),
    kube(['-n', of, 'logs', name]).catch(String),
  ]);
  assert.fail(`pod ${name} is ${reached ?? 'on its way'}, not ${phase}\n${logs}\n${described}`);
}
