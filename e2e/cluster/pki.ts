// The certificates and kubeconfigs of a local cluster, by openssl.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLIENT, certify, SERVER } from '../lab/certificate.ts';
import { mustRun, type RunOptions } from '../lab/command.ts';
import { API_SERVER, API_SERVICE_IP, ROUTER_IP } from './addresses.ts';
import type { Cluster } from './places.ts';

export const pkiFile = ({ directory }: Cluster, name: string): string => join(directory, 'pki', name);

const API_SERVER_NAMES = [
  ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((name) => `DNS:${name}`),
  'DNS:kubernetes.default.svc.cluster.local',
  ...['127.0.0.1', ROUTER_IP, API_SERVICE_IP].map((ip) => `IP:${ip}`),
];
const COMPONENTS = ['kube-controller-manager', 'kube-scheduler', 'kube-proxy'];

/** `apiPort`: where this machine's loopback reaches the API server. */
export async function makePki(cluster: Cluster, apiPort: number, options: RunOptions): Promise<void> {
  const folder = pkiFile(cluster, '');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of ['ca', 'front-ca'])
    await certify(folder, { name, subject: `/CN=podwall-${name}`, extensions: [] }, options);
  const serving = [...SERVER, `subjectAltName=${API_SERVER_NAMES.join()}`];
  const signed = (name: string, subject: string, extensions: readonly string[]) =>
    certify(folder, { name, subject, extensions, authority: 'ca' }, options);
  await signed('apiserver', '/CN=kube-apiserver', serving);
  await signed('kubelet-client', '/O=system:masters/CN=kube-apiserver', CLIENT);
  const key = pkiFile(cluster, 'sa.key');
  await mustRun(['openssl', 'genrsa', '-out', key, '2048'], options);
  await mustRun(['openssl', 'rsa', '-in', key, '-pubout', '-out', pkiFile(cluster, 'sa.pub')], options);
  for (const component of COMPONENTS)
    await writeKubeconfig(cluster, pkiFile(cluster, `${component}.conf`), `/CN=system:${component}`, options);
  await writeKubeconfig(cluster, cluster.kubeconfig, '/O=system:masters/CN=admin', options, `127.0.0.1:${apiPort}`);
}

/** With the client certificate in it. `server` is the address of the API server as its reader sees it. */
export async function writeKubeconfig(
  cluster: Cluster,
  file: string,
  subject: string,
  options: RunOptions,
  server = API_SERVER,
): Promise<void> {
  const name = `client-${file.replaceAll('/', '_')}`;
  await certify(pkiFile(cluster, ''), { name, subject, extensions: CLIENT, authority: 'ca' }, options);
  const base64 = async (part: string) => (await readFile(pkiFile(cluster, part))).toString('base64');
  const user = {
    'client-certificate-data': await base64(`${name}.crt`),
    'client-key-data': await base64(`${name}.key`),
  };
  const entry = { server: `https://${server}`, 'certificate-authority-data': await base64('ca.crt') };
  const context = `podwall-${cluster.name}`;
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': context,
    contexts: [{ name: context, context: { cluster: context, user: context } }],
    clusters: [{ name: context, cluster: entry }],
    users: [{ name: context, user }],
  };
  await writeFile(file, `${JSON.stringify(kubeconfig, undefined, 2)}\n`, { mode: 0o600 });
  for (const end of ['crt', 'key']) await rm(pkiFile(cluster, `${name}.${end}`));
}
