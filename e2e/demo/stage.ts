// Sets the demo up: a node with one workload, the servers that it talks to, and Podwall with no rule yet.
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { type Podwall, startPodwall } from '../lab/podwall.ts';
import type { Say } from '../lab/progress.ts';
import { startDnsmasq } from '../lab/servers/dnsmasq.ts';
import { startMariadb } from '../lab/servers/mariadb.ts';
import { startNginx, type WebSite } from '../lab/servers/nginx.ts';
import { startRedis } from '../lab/servers/redis.ts';

export const MYSQL_IP = '10.20.30.40';
export const REDIS_IP = '10.20.30.50';
export const GITHUB_IP = '140.82.113.5';
export const DNS_IP = '8.8.8.8';
const GITHUB = 'api.github.com';
export const TEST_NAME = 'orders.example';
export const TEST_NAME_IP = '10.20.30.60';
const ZONE = { [GITHUB]: [GITHUB_IP, '140.82.114.5'], [TEST_NAME]: [TEST_NAME_IP] };

export const WORKLOAD = {
  name: 'container-1',
  ip: '192.168.1.100',
  mac: 'aa:bb:cc:dd:ee:ff',
  hostInterface: 'veth-c1',
} as const;
export const RULE = { namespace: 'shop', name: 'checkout' } as const;
export const RULE_FILE = 'checkout.yaml';
const MANIFESTS = join(import.meta.dirname, 'manifests');

export type Network = { readonly workload: Namespace; readonly site: WebSite };

export type Stage = Network & {
  readonly lab: Lab;
  readonly podwall: Podwall;
  /** The rule, not applied yet. */
  readonly manifest: string;
};

export async function setStage(lab: Lab, say: Say): Promise<Stage> {
  const network = await setNetwork(lab, say);
  const pod = { namespace: RULE.namespace, name: WORKLOAD.name, netns: network.workload, interface: 'eth0' };
  const podwall = await startPodwall(lab, { pods: [pod], resolver: DNS_IP });
  await copyFile(join(MANIFESTS, 'workloads.yaml'), join(podwall.rules.path, 'workloads.yaml'));
  say('Podwall: etcd, dp, controller and agent run on the node');
  return { ...network, lab, podwall, manifest: await readFile(join(MANIFESTS, RULE_FILE), 'utf8') };
}

/** The workload and the servers alone, with nothing of Podwall. */
export async function setNetwork(lab: Lab, say: Say): Promise<Network> {
  const workload = await lab.addWorkload(WORKLOAD);
  const [mysql, redis, github, dns] = await Promise.all([
    lab.addPeer({ name: 'mysql', ips: [MYSQL_IP] }),
    lab.addPeer({ name: 'redis', ips: [REDIS_IP] }),
    lab.addPeer({ name: 'github', ips: [GITHUB_IP] }),
    lab.addPeer({ name: 'dns', ips: [DNS_IP] }),
  ]);
  say(`network: a node, the workload ${WORKLOAD.name} (${WORKLOAD.ip}) and four peers, all in namespaces of their own`);
  const [site] = await Promise.all([
    startNginx(lab, github, GITHUB, GITHUB_IP),
    startMariadb(lab, mysql, MYSQL_IP),
    startRedis(lab, redis, REDIS_IP),
    startDnsmasq(lab, dns, DNS_IP, ZONE),
  ]);
  say(`servers: MariaDB ${MYSQL_IP}, Redis ${REDIS_IP}, nginx as ${GITHUB} ${GITHUB_IP}, DNS ${DNS_IP}`);
  return { workload, site };
}
