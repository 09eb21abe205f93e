// A cluster by kind, where a Docker engine runs.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Command, mustRun, run } from '../lab/command.ts';
import { withDocker } from './image-builder.ts';
import { buildNodeImages } from './images.ts';
import { type Cluster, IMAGES, program } from './places.ts';
import { buildPrograms } from './programs.ts';
import type { Provider, Wish, Work } from './provider.ts';

const CREATE_TIMEOUT_MS = 15 * 60_000;
const kindName = ({ name }: Cluster): string => `podwall-${name}`;

export const kind: Provider = {
  name: 'kind',
  async build(work) {
    await buildPrograms(true, work.say, work);
    await buildNodeImages(withDocker, { forKind: true, anew: false }, work);
  },
  up,
  async down(cluster, options) {
    const command: Command = [program('kind'), 'delete', 'cluster', '--name', kindName(cluster)];
    if (await isUp(cluster)) await mustRun(command, { ...options, timeoutMs: CREATE_TIMEOUT_MS });
    await rm(cluster.directory, { recursive: true, force: true });
  },
  isUp,
  nodes,
  inNode: async (_cluster, node, command) => ['docker', 'exec', '--interactive', node, ...command],
  async load(cluster, node, archive, options) {
    const where = ['--name', kindName(cluster), '--nodes', node];
    const longer = { ...options, timeoutMs: CREATE_TIMEOUT_MS };
    await mustRun([program('kind'), 'load', 'image-archive', archive, ...where], longer);
  },
};

async function up(cluster: Cluster, { nodes: count }: Wish, work: Work): Promise<void> {
  if (await isUp(cluster)) return;
  await mkdir(cluster.directory, { recursive: true, mode: 0o700 });
  const workers = Array.from({ length: count }, () => ({ role: 'worker' }));
  const file = join(cluster.directory, 'kind.yaml');
  const configuration = { kind: 'Cluster', apiVersion: 'kind.x-k8s.io/v1alpha4' };
  await writeFile(file, stringify({ ...configuration, nodes: [{ role: 'control-plane' }, ...workers] }));
  work.say('kind makes the cluster: some minutes the first time, for it pulls its node image');
  const options = ['--name', kindName(cluster), '--kubeconfig', cluster.kubeconfig, '--config', file, '--wait', '5m'];
  await mustRun([program('kind'), 'create', 'cluster', ...options], { ...work, timeoutMs: CREATE_TIMEOUT_MS });
  for (const node of await nodes(cluster))
    for (const image of ['agnhost', 'tools']) await kind.load(cluster, node, join(IMAGES, `${image}.tar`), work);
}

async function isUp(cluster: Cluster): Promise<boolean> {
  const existing = await run([program('kind'), 'get', 'clusters']).catch(() => undefined);
  return existing?.stdout.split('\n').includes(kindName(cluster)) ?? false;
}

/** The workers: what the local provider calls nodes. */
async function nodes(cluster: Cluster): Promise<string[]> {
  if (!(await isUp(cluster))) return [];
  const { stdout } = await mustRun([program('kind'), 'get', 'nodes', '--name', kindName(cluster)]);
  return stdout
    .trim()
    .split('\n')
    .filter((name) => name.includes('worker'));
}
