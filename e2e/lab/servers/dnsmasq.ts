// A DNS server that knows a few names and answers for no other, and a client's question.
import { writeFile } from 'node:fs/promises';
import type { Command } from '../command.ts';
import type { Lab } from '../lab.ts';
import type { Namespace } from '../namespace.ts';
import { waitFor } from '../wait.ts';

const READY_TIMEOUT_MS = 10_000;
const TTL_SECONDS = 60;

/** Name → its addresses. */
export type Zone = Readonly<Record<string, readonly string[]>>;

export async function startDnsmasq(lab: Lab, namespace: Namespace, ip: string, zone: Zone): Promise<void> {
  const hosts = lab.file('dns.hosts');
  const lines = Object.entries(zone).flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}`));
  await writeFile(hosts, `${lines.join('\n')}\n`);
  await lab.start('dnsmasq', namespace, [
    'dnsmasq',
    ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--log-facility=-'],
    ...[`--listen-address=${ip}`, '--bind-interfaces', '--no-resolv', '--no-hosts', '--local=/#/'],
    ...[`--addn-hosts=${hosts}`, `--local-ttl=${TTL_SECONDS}`],
  ]);
  const [name = ''] = Object.keys(zone);
  const probe = async () => (await lab.run(namespace, dnsQuestion(ip, name))).stdout.trim() !== '' || undefined;
  await waitFor('dnsmasq to answer', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
}

/** Writes the addresses of the name, one a line. */
export const dnsQuestion = (ip: string, name: string): Command => [
  ...(['dig', `@${ip}`, name, 'A', '+short', '+tries=1', '+time=10'] as const),
];
