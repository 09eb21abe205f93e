// The certificates and kubeconfigs of a local cluster, by openssl.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, type RunOptions } from '../lab/command.ts';
import { API_SERVER, API_SERVICE_IP, ROUTER_IP } from './addresses.ts';
import type { Cluster } from './places.ts';

const DAYS = '3650';

export const pkiFile = ({ directory }: Cluster, name: string): string => join(directory, 'pki', name);

type Certificate = {
  readonly name: string;
  readonly subject: string;
  readonly extensions: readonly string[];
  readonly isAuthority?: boolean;
};

const AUTHORITY = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,digitalSignature'];
const CLIENT = ['extendedKeyUsage=clientAuth'];
const API_SERVER_NAMES = [
  ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((name) => `DNS:${name}`),
  'DNS:kubernetes.default.svc.cluster.local',
  ...['127.0.0.1', ROUTER_IP, API_SERVICE_IP].map((ip) => `IP:${ip}`),
];
const COMPONENTS = ['kube-controller-manager', 'kube-scheduler', 'kube-proxy'];

/** `apiPort`: where this machine's loopback reaches the API server. */
export async function makePki(cluster: Cluster, apiPort: number, options: RunOptions): Promise<void> {
  await mkdir(pkiFile(cluster, ''), { recursive: true, mode: 0o700 });
  await writeFile(pkiFile(cluster, 'empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  for (const name of ['ca', 'front-ca'])
    await certify(cluster, { name, subject: `/CN=podwall-${name}`, extensions: AUTHORITY, isAuthority: true }, options);
  const serving = ['extendedKeyUsage=serverAuth', `subjectAltName=${API_SERVER_NAMES.join()}`];
  await certify(cluster, { name: 'apiserver', subject: '/CN=kube-apiserver', extensions: serving }, options);
  const kubelet = { name: 'kubelet-client', subject: '/O=system:masters/CN=kube-apiserver', extensions: CLIENT };
  await certify(cluster, kubelet, options);
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
  await certify(cluster, { name, subject, extensions: CLIENT }, options);
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

async function certify(cluster: Cluster, certificate: Certificate, options: RunOptions): Promise<void> {
  const { name, subject, extensions, isAuthority = false } = certificate;
  const file = (end: string) => pkiFile(cluster, end);
  await mustRun(
    [
      ...(['openssl', 'req', '-x509', '-config', file('empty.cnf'), '-nodes', '-days', DAYS] as const),
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', subject],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)],
      ...(isAuthority ? [] : ['-CA', file('ca.crt'), '-CAkey', file('ca.key')]),
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ],
    options,
  );
}
