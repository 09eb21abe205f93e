// The controller with the cluster as its source: follows it, and writes for as long as it leads.
import { randomUUID } from 'node:crypto';
import { ROOT } from '../api/keyspace.ts';
import { type KubernetesOptions, UsageError } from '../command-line.ts';
import { claimOf } from '../etcd/leadership.ts';
import { Mirror } from '../etcd/mirror.ts';
import { Reconciler } from '../reconcile.ts';
import { type Run, untilStopped } from '../run.ts';
import { serveMetrics } from '../serve-metrics.ts';
import { ApiServer } from './api-server.ts';
import { Election } from './election.ts';
import { Events } from './events.ts';
import { KubernetesSource } from './kubernetes-source.ts';
import { StatusPatches } from './status-patches.ts';

const LEASE = 'podwall-controller';

export async function followKubernetes(options: KubernetesOptions, { etcd, metrics, log, stop }: Run): Promise<void> {
  const { kubeconfig, namespace, identity } = options;
  const api = openApiServer(kubeconfig);
  const me = `${identity}_${randomUUID()}`;
  const state = () => ({
    ...reconciler.picture,
    etcd: { isConnected: mirror.isConnected, ...mirror.counts },
    statusWrites: patches.count,
    eventsDropped: events.dropped,
  });
  await using _metrics = await serveMetrics(metrics, state, log);
  // It is disposed of last of these: who writes no more gives the lease up.
  await using _election = new Election(api, { namespace, name: LEASE, me }, log, (term) => {
    mirror.claim = term === undefined ? undefined : claimOf({ holder: me, term });
    reconciler.isActing = term !== undefined;
    if (term === undefined) patches.clear();
  });
  await using events = new Events(api, log, identity);
  await using patches = new StatusPatches(api, log, (id) => source.statusOf(id));
  await using mirror = new Mirror(etcd, ROOT, log, (keys) => reconciler.etcdChanged(keys));
  await using reconciler = new Reconciler(mirror, patches, log, (turn) => events.announce(turn));
  reconciler.isActing = false;
  await using source: KubernetesSource = new KubernetesSource(api, log, (declared) => reconciler.declare(declared));
  await untilStopped(stop);
}

function openApiServer(kubeconfig: string | undefined): ApiServer {
  try {
    return ApiServer.open(kubeconfig);
  } catch (error) {
    throw new UsageError(`--source kubernetes: ${error instanceof Error ? error.message : error}`);
  }
}
