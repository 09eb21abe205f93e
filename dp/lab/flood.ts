// For tests: datagrams from a namespace to very many ports at once, each of them another flow.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Place } from './end-process.ts';

/** Sends two datagrams to each port from `first` to `last` from each of `sources` sockets, on one CPU. */
export async function flood({ namespace, ip }: Place, to: string, flows: Flows, cpu: number): Promise<void> {
  const words = [ip, to, flows.first, flows.last, flows.sources].map(String);
  const script = `${import.meta.dirname}/flood-end.ts`;
  const command = [`--net=${namespace}`, '--', 'taskset', '-c', `${cpu}`, process.execPath, script, ...words];
  const child = spawn('nsenter', command, { stdio: ['ignore', 'ignore', 'pipe'] });
  const [errors] = await Promise.all([text(child.stderr), once(child, 'close')]);
  if (child.exitCode !== 0) throw new Error(`the flood ended with ${child.exitCode}: ${errors}`);
}

export type Flows = { readonly first: number; readonly last: number; readonly sources: number };
