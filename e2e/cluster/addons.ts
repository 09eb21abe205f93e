// What a local cluster needs beside its nodes: CoreDNS.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, type RunOptions } from '../lab/command.ts';
import { DNS_SERVICE_IP, OUTSIDE_DNS } from './addresses.ts';
import { kubectl } from './kubectl.ts';
import type { Cluster } from './places.ts';

export async function applyAddons(cluster: Cluster, options: RunOptions): Promise<void> {
  const manifest = await readFile(join(import.meta.dirname, 'coredns.yaml'), 'utf8');
  const input = manifest.replaceAll('@OUTSIDE_DNS@', OUTSIDE_DNS).replaceAll('@DNS_SERVICE_IP@', DNS_SERVICE_IP);
  await mustRun(kubectl(cluster, 'apply', '-f', '-'), { ...options, input });
}
