// etcd, API server, controller manager and scheduler of a local cluster, in its router's network namespace.
import { join } from 'node:path';
import { type Command, type RunOptions, run } from '../lab/command.ts';
import { inside } from '../lab/namespace.ts';
import { waitFor } from '../lab/wait.ts';
import { API_SERVER, ROUTER_IP, SERVICE_NETWORK } from './addresses.ts';
import { logFile, startDaemon } from './daemon.ts';
import { kubectl } from './kubectl.ts';
import { routerOf } from './names.ts';
import { pkiFile } from './pki.ts';
import { type Cluster, program } from './places.ts';

const READY_TIMEOUT_MS = 90_000;
const POLL_MS = 200;

/** Resolves once the API server is ready. Starts what does not run. */
export async function startControlPlane(cluster: Cluster, apiPort: number, { signal }: RunOptions): Promise<void> {
  const router = routerOf(cluster);
  const start = (name: string, ...args: readonly string[]) =>
    startDaemon(cluster, name, inside(router, [program(name), ...args]));
  await start('etcd', `--data-dir=${join(cluster.directory, 'etcd')}`, '--unsafe-no-fsync', '--log-level=warn');
  await start('kube-apiserver', ...apiServerOptions(cluster));
  await startDaemon(cluster, 'relay', relay(apiPort, router.path));
  const isReady = async () => {
    const { code } = await run(kubectl(cluster, 'get', '--raw', '/readyz', '--request-timeout=5s'), { signal });
    return code === 0 || undefined;
  };
  const what = `the API server; its log: ${logFile(cluster, 'kube-apiserver')}`;
  await waitFor(what, isReady, { timeoutMs: READY_TIMEOUT_MS, everyMs: POLL_MS, signal });
  const component = (name: string) => [
    `--kubeconfig=${pkiFile(cluster, `${name}.conf`)}`,
    '--leader-elect=false',
    `--cert-dir=${join(cluster.directory, 'certs')}`,
  ];
  await start(
    'kube-controller-manager',
    ...component('kube-controller-manager'),
    '--use-service-account-credentials',
    `--service-account-private-key-file=${pkiFile(cluster, 'sa.key')}`,
    `--root-ca-file=${pkiFile(cluster, 'ca.crt')}`,
    `--cluster-signing-cert-file=${pkiFile(cluster, 'ca.crt')}`,
    `--cluster-signing-key-file=${pkiFile(cluster, 'ca.key')}`,
  );
  await start('kube-scheduler', ...component('kube-scheduler'));
}

const relay = (port: number, namespace: string): Command => [
  process.execPath,
  join(import.meta.dirname, 'relay.ts'),
  `${port}`,
  namespace,
  API_SERVER,
];

function apiServerOptions(cluster: Cluster): string[] {
  const file = (name: string) => pkiFile(cluster, name);
  return [
    ...['--etcd-servers=http://127.0.0.1:2379', `--advertise-address=${ROUTER_IP}`, '--allow-privileged'],
    ...[`--service-cluster-ip-range=${SERVICE_NETWORK}`, '--authorization-mode=Node,RBAC'],
    ...['--enable-admission-plugins=NodeRestriction', `--client-ca-file=${file('ca.crt')}`],
    ...[`--tls-cert-file=${file('apiserver.crt')}`, `--tls-private-key-file=${file('apiserver.key')}`],
    `--kubelet-client-certificate=${file('kubelet-client.crt')}`,
    `--kubelet-client-key=${file('kubelet-client.key')}`,
    ...['--kubelet-preferred-address-types=InternalIP', `--cert-dir=${join(cluster.directory, 'certs')}`],
    ...['--service-account-issuer=https://kubernetes.default.svc', `--service-account-key-file=${file('sa.pub')}`],
    `--service-account-signing-key-file=${file('sa.key')}`,
    ...[`--requestheader-client-ca-file=${file('front-ca.crt')}`, '--requestheader-username-headers=X-Remote-User'],
    ...['--requestheader-group-headers=X-Remote-Group', '--requestheader-extra-headers-prefix=X-Remote-Extra-'],
    '--enable-aggregator-routing', // webhooks are called at their pods' addresses: no kube-proxy here
  ];
}
