// A node of a local cluster: a pid, mount, uts, ipc, cgroup and network namespace with containerd, kubelet and kube-proxy.

import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, mustRun, type RunOptions } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import { waitFor } from '../lab/wait.ts';
import { podNetworkOf } from './addresses.ts';
import { makeCgroups } from './cgroups.ts';
import { isAlive, startDaemon } from './daemon.ts';
import { kubectl } from './kubectl.ts';
import { nodeName, nodeNamespace } from './names.ts';
import { makeNodeNetwork } from './network.ts';
import { type Cni, nodeFiles } from './node-files.ts';
import { pkiFile, writeKubeconfig } from './pki.ts';
import { type Cluster, IMAGES, PROGRAMS } from './places.ts';

const START_TIMEOUT_MS = 60_000;
const NODE_PATH = '/run/podwall-cluster/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const script = (name: string): string => join(import.meta.dirname, name);

export const nodeDirectory = ({ directory }: Cluster, node: string): string => join(directory, 'node', node);
export const cgroupList = (cluster: Cluster, node: string): string => join(nodeDirectory(cluster, node), 'cgroups');

/** Resolves once its containerd has the images and its kubelet is started. Does nothing where it runs. */
export async function startNode(cluster: Cluster, index: number, cni: Cni, options: RunOptions): Promise<void> {
  const name = nodeName(index);
  if (await isAlive(cluster, name)) return;
  await makeNodeNetwork(cluster, index, options);
  await layFiles(cluster, index, cni, options);
  await register(cluster, name, podNetworkOf(index), options);
  const cgroups = await makeCgroups(`podwall-cluster-${cluster.name}-${name}`);
  await writeFile(cgroupList(cluster, name), `${cgroups.join('\n')}\n`);
  await startDaemon(cluster, name, [
    ...([script('join-cgroups.sh'), cgroupList(cluster, name)] as const),
    ...['nsenter', `--net=${nodeNamespace(cluster, name).path}`],
    ...['unshare', '--mount', '--uts', '--ipc', '--pid', '--cgroup', '--fork', '--kill-child'],
    ...[script('node-init.sh'), name, nodeDirectory(cluster, name), PROGRAMS, IMAGES],
  ]);
  const isUp = async () => {
    if (!(await isAlive(cluster, name))) throw new LabError('ProcessEnded', `node ${name} ended at its start`);
    return initPid(cluster, name);
  };
  await waitFor(`node ${name} to start`, isUp, { timeoutMs: START_TIMEOUT_MS, signal: options.signal });
}

/** Runs in all namespaces of the node. Throws LabError NoSuchLab where there is no such node. */
export async function inNode(cluster: Cluster, node: string, command: Command): Promise<Command> {
  const pid = (await isAlive(cluster, node)) ? await initPid(cluster, node) : undefined;
  if (pid === undefined) throw new LabError('NoSuchLab', `cluster ${cluster.name} has no running node ${node}`);
  return ['nsenter', '-t', pid, '-m', '-u', '-i', '-n', '-p', '-C', '--', 'env', `PATH=${NODE_PATH}`, ...command];
}

async function initPid(cluster: Cluster, node: string): Promise<string | undefined> {
  const text = await readFile(join(nodeDirectory(cluster, node), 'init.pid'), 'utf8').catch(() => '');
  return text.trim() || undefined;
}

async function layFiles(cluster: Cluster, index: number, cni: Cni, options: RunOptions): Promise<void> {
  const name = nodeName(index);
  const etc = join(nodeDirectory(cluster, name), 'etc');
  for (const { path, text } of nodeFiles(name, index, cni)) {
    await mkdir(dirname(join(etc, path)), { recursive: true });
    await writeFile(join(etc, path), text);
  }
  await writeFile(join(etc, 'machine-id'), `${randomUUID().replaceAll('-', '')}\n`);
  for (const file of ['ca.crt', 'kube-proxy.conf'])
    await copyFile(pkiFile(cluster, file), join(etc, 'kubernetes', file));
  const subject = `/O=system:nodes/CN=system:node:${name}`;
  await writeKubeconfig(cluster, join(etc, 'kubernetes/kubelet.conf'), subject, options);
}

/** With its pods' network, which nobody here hands out. */
async function register(cluster: Cluster, name: string, podCIDR: string, options: RunOptions): Promise<void> {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { podCIDR, podCIDRs: [podCIDR] } };
  await mustRun(kubectl(cluster, 'apply', '-f', '-'), { ...options, input: JSON.stringify(node) });
}
