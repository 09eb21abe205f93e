// What is outside a local cluster: a DNS server that the cluster's own asks, and a web server.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inside } from '../lab/namespace.ts';
import { OUTSIDE_DNS } from './addresses.ts';
import { startDaemon } from './daemon.ts';
import { outsideOf } from './names.ts';
import { type Cluster, program } from './places.ts';

/** In the form of /etc/hosts; read again each second. */
export const outsideHosts = ({ directory }: Cluster): string => join(directory, 'outside.hosts');

/** Starts what does not run. */
export async function startOutside(cluster: Cluster): Promise<void> {
  const hosts = outsideHosts(cluster);
  if (!existsSync(hosts)) await writeFile(hosts, '');
  const corefile = join(cluster.directory, 'Corefile');
  await writeFile(
    corefile,
    `.:53 {
    bind ${OUTSIDE_DNS}
    errors
    hosts ${hosts} {
        ttl 5
        reload 1s
    }
}
`,
  );
  const start = (name: string, ...command: [string, ...string[]]) =>
    startDaemon(cluster, name, inside(outsideOf(cluster), command));
  await start('outside-dns', program('coredns'), '-conf', corefile);
  await start('outside-web', program('agnhost'), 'netexec', '--http-port=80', '--udp-port=8081');
}
