// A cluster on this machine without Docker: its parts are built from their Go modules and run in namespaces.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Command, mustRun, type RunOptions, run } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import { deleteNamespace } from '../lab/namespace.ts';
import { waitFor } from '../lab/wait.ts';
import { applyAddons } from './addons.ts';
import { API_SERVICE_IP, DNS_SERVICE_IP } from './addresses.ts';
import { localBases } from './base-images.ts';
import { removeCgroup } from './cgroups.ts';
import { startControlPlane } from './control-plane.ts';
import { daemonsOf, isAlive, stopDaemon } from './daemon.ts';
import { withBuildah } from './image-builder.ts';
import { buildNodeImages } from './images.ts';
import { kubectl } from './kubectl.ts';
import { namespacesOf, nodeName } from './names.ts';
import { makeRouter, routeBetweenNodes } from './network.ts';
import { cgroupList, inNode, startNode } from './node.ts';
import { startOutside } from './outside.ts';
import { makePki } from './pki.ts';
import { CACHE, type Cluster } from './places.ts';
import { buildPrograms } from './programs.ts';
import type { Provider, Wish, Work } from './provider.ts';

const READY_TIMEOUT_MS = 120_000;
const IMPORT_TIMEOUT_MS = 120_000;
/** Each node's containerd, kubelet and pods watch files, of which a machine gives few by default. */
const INOTIFY_INSTANCES = 8192;

export const local: Provider = {
  name: 'local',
  build,
  up,
  down,
  isUp: (cluster) => isAlive(cluster, 'kube-apiserver'),
  nodes: nodesOf,
  inNode,
  async load(cluster, node, archive, options) {
    // A node doesn't see the machine's folders, but what it is given to read.
    const command = await inNode(cluster, node, ['ctr', '--namespace', 'k8s.io', 'images', 'import', '-']);
    await mustRun(['sh', '-c', 'exec "$@" <"$0"', archive, ...command], { ...options, timeoutMs: IMPORT_TIMEOUT_MS });
  },
};

async function build(work: Work): Promise<void> {
  const { say } = work;
  const areNew = await whenStale('programs', ['go', 'programs.ts'], async () => {
    say('building the cluster’s programs: about ten minutes the first time');
    await buildPrograms(false, say, work);
  });
  const images = (anew: boolean) => buildNodeImages(withBuildah(localBases(say)), { forKind: false, anew }, work);
  const wereStale = await whenStale(
    'images',
    ['images', 'images.ts', 'program-tree.ts', '../lab/servers/mariadb.ts'],
    async () => {
      say('building its images');
      await images(true);
    },
  );
  if (!wereStale) await images(areNew);
}

/** Builds where these sources are not those of the last build that ended well, and answers whether they were not. */
async function whenStale(what: string, sources: readonly string[], make: () => Promise<void>): Promise<boolean> {
  const file = join(CACHE, `${what}.stamp`);
  const stamp = await stampOf(sources);
  if ((await readFile(file, 'utf8').catch(() => '')) === stamp) return false;
  await make();
  await writeFile(file, stamp);
  return true;
}

/** Of all files below these, relative to this folder. */
async function stampOf(names: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const name of names) {
    const path = join(import.meta.dirname, name);
    const below = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => undefined);
    const files = below?.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)) ?? [path];
    for (const file of files.toSorted())
      hash.update(file.slice(import.meta.dirname.length)).update(await readFile(file));
  }
  return hash.digest('hex');
}

async function up(cluster: Cluster, wish: Wish, work: Work): Promise<void> {
  const { say } = work;
  if (process.getuid?.() !== 0) throw new LabError('CommandFailed', 'a local cluster makes namespaces: run it as root');
  // What a machine's restart or a kill has left is of no use.
  if (existsSync(cluster.directory) && !(await isAlive(cluster, 'etcd'))) await down(cluster, work);
  await allowWatches();
  await mkdir(cluster.directory, { recursive: true, mode: 0o700 });
  const apiPort = await portOf(cluster);
  if (!existsSync(cluster.kubeconfig)) await makePki(cluster, apiPort, work);
  await makeRouter(cluster, work);
  await startOutside(cluster);
  say('starting the control plane');
  await startControlPlane(cluster, apiPort, work);
  say(`starting ${wish.nodes} node${wish.nodes === 1 ? '' : 's'}`);
  const indexes = Array.from({ length: wish.nodes }, (_, i) => i + 1);
  await applyAddons(cluster, work);
  await Promise.all(indexes.map((index) => startNode(cluster, index, wish.cni, work)));
  await routeBetweenNodes(cluster, wish.nodes, work);
  say('waiting for nodes and DNS');
  await untilReady(cluster, indexes.map(nodeName), work);
}

async function untilReady(cluster: Cluster, nodes: readonly string[], { signal }: RunOptions): Promise<void> {
  const wait = (what: string, command: Command) =>
    waitFor(what, async () => ((await run(command, { signal })).code === 0 ? true : undefined), {
      timeoutMs: READY_TIMEOUT_MS,
      signal,
    });
  const see = `see ${cluster.directory}/log and ${cluster.directory}/node`;
  await wait(
    `the nodes to be ready: ${see}`,
    kubectl(cluster, 'wait', '--for=condition=Ready', 'node', '--all', '--timeout=2s'),
  );
  const rollout = kubectl(cluster, '-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=2s');
  await wait(`CoreDNS to be ready: ${see}`, rollout);
  const question = `nslookup kubernetes.default.svc.cluster.local ${DNS_SERVICE_IP} | grep -q ${API_SERVICE_IP}`;
  for (const node of nodes)
    await wait(`DNS to answer on ${node}`, await inNode(cluster, node, ['sh', '-c', `busybox ${question}`]));
}

async function down(cluster: Cluster, options: RunOptions): Promise<void> {
  const nodes = await nodesOf(cluster, false);
  for (const name of await daemonsOf(cluster)) await stopDaemon(cluster, name);
  for (const namespace of namespacesOf(cluster, nodes))
    if (existsSync(namespace.path)) await deleteNamespace(namespace);
  for (const node of nodes) {
    const list = await readFile(cgroupList(cluster, node), 'utf8').catch(() => '');
    for (const directory of list.split('\n').filter(Boolean)) await removeCgroup(directory);
  }
  // Should a mount of a node still be there, what it shows is not to be deleted.
  await mustRun(['rm', '-rf', '--one-file-system', cluster.directory], { ...options, timeoutMs: IMPORT_TIMEOUT_MS });
}

async function nodesOf(cluster: Cluster, running = true): Promise<string[]> {
  const names = await readdir(join(cluster.directory, 'node')).catch(() => []);
  const alive = await Promise.all(names.map((name) => isAlive(cluster, name)));
  return names.filter((_, i) => !running || alive[i]).toSorted();
}

async function allowWatches(): Promise<void> {
  const file = '/proc/sys/fs/inotify/max_user_instances';
  if (Number(await readFile(file, 'utf8')) < INOTIFY_INSTANCES) await writeFile(file, `${INOTIFY_INSTANCES}`);
}

/** The same as long as the cluster is there. */
async function portOf(cluster: Cluster): Promise<number> {
  const file = join(cluster.directory, 'api-port');
  const known = await readFile(file, 'utf8').catch(() => undefined);
  const port = known ? Number(known) : await freePort();
  if (!known) await writeFile(file, `${port}`);
  return port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new LabError('CommandFailed', 'no free port on 127.0.0.1');
  return address.port;
}
