#!/usr/bin/env node
// The command line of a Kubernetes cluster for tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command, RunOptions } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import { sayTo } from '../lab/progress.ts';
import { localBases } from './base-images.ts';
import { whileLocked } from './build-lock.ts';
import { dockerRuns, withBuildah, withDocker } from './image-builder.ts';
import { buildPodwall } from './images.ts';
import { kind } from './kind.ts';
import { helm, kubectl } from './kubectl.ts';
import { local } from './local.ts';
import { type Action, HELP, type Options, parseOptions, UsageError } from './options.ts';
import { type Cluster, clusterNamed } from './places.ts';
import type { Provider, Work } from './provider.ts';

const EXIT_CODE = { good: 0, failed: 1, usage: 2, interrupted: 130 } as const;

type Of<Name extends Action['action']> = Extract<Action, { action: Name }>;
type Session = { readonly cluster: Cluster; readonly provider: Provider; readonly work: Work };

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.action.action === 'help') {
    process.stdout.write(HELP);
    return EXIT_CODE.good;
  }
  const cluster = clusterNamed(options.name);
  const work: Work = { say: sayTo(process.stderr), signal: untilInterrupted() };
  return act(options.action, { cluster, provider: await providerOf(cluster, options), work });
}

async function act(action: Exclude<Action, Of<'help'>>, session: Session): Promise<number> {
  const { cluster, provider, work } = session;
  switch (action.action) {
    case 'up':
      return up(action, session);
    case 'down':
      await provider.down(cluster, work);
      work.say(`cluster ${cluster.name} is gone`);
      return EXIT_CODE.good;
    case 'status':
      return status(session);
    case 'image':
      return image(action, session);
    case 'load':
      await loadAll(session, action.archives);
      return EXIT_CODE.good;
    case 'node':
      return passThrough(await provider.inNode(cluster, action.node, action.command), work);
    case 'kubectl':
      return onCluster(session, kubectl(cluster, ...action.args));
    case 'helm':
      return onCluster(session, helm(cluster, ...action.args));
    case 'test':
      return test(action, session);
  }
}

/** As asked for, or the one that made the cluster, or whichever this machine can have. */
async function providerOf(cluster: Cluster, { provider }: Options): Promise<Provider> {
  const recorded = await readFile(join(cluster.directory, 'provider'), 'utf8').catch(() => undefined);
  const name = provider ?? recorded ?? ((await dockerRuns()) ? 'kind' : 'local');
  return name === 'kind' ? kind : local;
}

async function up(wish: Of<'up'>, { cluster, provider, work }: Session): Promise<number> {
  await whileLocked(work, () => provider.build(work));
  if (wish.onlyBuilds) return EXIT_CODE.good;
  await provider.up(cluster, wish, work);
  await writeFile(join(cluster.directory, 'provider'), provider.name);
  work.say(`cluster ${cluster.name} is up. KUBECONFIG:`);
  process.stdout.write(`${cluster.kubeconfig}\n`);
  return EXIT_CODE.good;
}

async function status(session: Session): Promise<number> {
  const { cluster, provider, work } = session;
  if (!(await provider.isUp(cluster))) {
    process.stdout.write(`cluster ${cluster.name} is not up\n`);
    return EXIT_CODE.failed;
  }
  process.stdout.write(`cluster ${cluster.name}, ${provider.name}, KUBECONFIG ${cluster.kubeconfig}\n`);
  return passThrough(kubectl(cluster, 'get', 'nodes,pods', '--all-namespaces', '--output=wide'), work);
}

async function image({ tag }: Of<'image'>, session: Session): Promise<number> {
  const { work } = session;
  work.say('building deploy/Dockerfile: some minutes the first time');
  const builder = (await dockerRuns()) ? withDocker : withBuildah(localBases(work.say));
  const { archive, bytes } = await whileLocked(work, () => buildPodwall(builder, tag, work));
  work.say(`${tag}: ${(bytes / 1e6).toFixed(1)} MB, ${archive}`);
  await loadAll(session, [archive]);
  process.stdout.write(`${archive}\n`);
  return EXIT_CODE.good;
}

async function loadAll({ cluster, provider, work }: Session, archives: readonly string[]): Promise<void> {
  for (const archive of archives) if (!existsSync(archive)) throw new UsageError(`there is no ${archive}`);
  for (const archive of archives.map((path) => resolve(path)))
    await Promise.all(
      (await provider.nodes(cluster)).map(async (node) => {
        await provider.load(cluster, node, archive, work);
        work.say(`${node} has ${archive}`);
      }),
    );
}

/** Leaves the cluster as it was found: up or down. */
async function test({ keeps, files }: Of<'test'>, session: Session): Promise<number> {
  const { cluster, provider, work } = session;
  const wasUp = await provider.isUp(cluster);
  try {
    await up({ action: 'up', nodes: 2, cni: 'bridge', onlyBuilds: false }, session);
    await image({ action: 'image', tag: 'localhost/podwall:dev' }, session);
    const suites =
      files.length > 0 ? files.map((file) => resolve(file)) : globSync(join(import.meta.dirname, '*.e2e.ts'));
    const runner = ['--test', '--test-concurrency=1', '--test-reporter=spec', ...suites.toSorted()];
    return await passThrough([process.execPath, ...runner], work, { PODWALL_CLUSTER: cluster.name });
  } finally {
    if (!wasUp && !keeps) await provider.down(cluster, { say: work.say }); // also when interrupted
  }
}

async function onCluster({ cluster, work }: Session, command: Command): Promise<number> {
  if (existsSync(cluster.kubeconfig)) return passThrough(command, work);
  throw new LabError('NoSuchLab', `cluster ${cluster.name} is not up: node e2e/cluster/main.ts up`);
}

/** With this process's own input and output; it ends when this process is to end. */
async function passThrough([program, ...args]: Command, { signal }: RunOptions, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  const end = () => child.kill();
  signal?.addEventListener('abort', end, { once: true });
  const [code]: (number | null)[] = await once(child, 'close');
  signal?.removeEventListener('abort', end);
  signal?.throwIfAborted();
  return code ?? EXIT_CODE.failed;
}

class Interrupted extends Error {}

function untilInterrupted(): AbortSignal {
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => end.abort(new Interrupted(`stopped by ${signal}`)));
  return end.signal;
}

/** The one place that decides how it exits. */
async function exitCode(): Promise<number> {
  try {
    return await main();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`cluster: ${message}\n`);
    if (error instanceof Interrupted) return EXIT_CODE.interrupted;
    if (!(error instanceof UsageError)) return EXIT_CODE.failed;
    process.stderr.write('node e2e/cluster/main.ts --help lists the commands\n');
    return EXIT_CODE.usage;
  }
}

process.exitCode = await exitCode();
