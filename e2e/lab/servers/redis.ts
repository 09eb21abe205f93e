// A Redis server that holds nothing, and a client's PING.
import type { Command } from '../command.ts';
import type { Lab } from '../lab.ts';
import type { Namespace } from '../namespace.ts';
import { waitFor } from '../wait.ts';

const PORT = 6379;
const READY_TIMEOUT_MS = 10_000;

export async function startRedis(lab: Lab, namespace: Namespace, ip: string): Promise<void> {
  await lab.start('redis', namespace, [
    'redis-server',
    ...['--bind', ip, '--port', String(PORT), '--protected-mode', 'no', '--save', '', '--dir', lab.directory],
  ]);
  const probe = async () => (await lab.run(namespace, redisPing(ip))).stdout.trim() === 'PONG' || undefined;
  await waitFor('Redis to answer', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
}

export const redisPing = (ip: string): Command => ['redis-cli', '-h', ip, '-p', String(PORT), 'PING'];
