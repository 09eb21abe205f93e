// The network namespaces of a lab, and what runs in them.
import { existsSync } from 'node:fs';
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, mustRun, type RunOptions, run } from './command.ts';
import { LabError } from './failure.ts';

export const NETNS_DIRECTORY = '/run/netns';

export type Namespace = { readonly name: string; readonly path: string };

export const namespaceNamed = (name: string): Namespace => ({ name, path: join(NETNS_DIRECTORY, name) });

/** nsenter, and not `ip netns exec`: that one mounts another /sys, where the pinned programs are not to be seen. */
export const inside = (namespace: Namespace, command: Command): Command => [
  'nsenter',
  `--net=${namespace.path}`,
  '--',
  ...command,
];

/** With loopback up, and no IPv6: its own neighbour and router messages would mix with what is shown. */
export async function addNamespace(namespace: Namespace, options: RunOptions): Promise<void> {
  await mustRun(['ip', 'netns', 'add', namespace.name], options);
  await setSysctl(namespace, 'net/ipv6/conf/all/disable_ipv6', options);
  await setSysctl(namespace, 'net/ipv6/conf/default/disable_ipv6', options);
  await configure(namespace, ['link set lo up'], options);
}

/** Another run may be deleting it at the same time: that it is gone is what counts. */
export async function deleteNamespace(namespace: Namespace): Promise<void> {
  const { stderr } = await run(['ip', 'netns', 'delete', namespace.name]);
  if (existsSync(namespace.path)) throw new LabError('CommandFailed', `${namespace.name} is not deleted: ${stderr}`);
}

/** Runs lines of `ip` commands in the namespace; stops with an error at the first that fails. */
export async function configure(namespace: Namespace, lines: readonly string[], options: RunOptions): Promise<void> {
  await mustRun(['ip', '-netns', namespace.name, '-batch', '-'], { ...options, input: `${lines.join('\n')}\n` });
}

export async function setSysctl(namespace: Namespace, name: string, options: RunOptions): Promise<void> {
  await mustRun(inside(namespace, ['sh', '-c', 'echo 1 >"/proc/sys/$0"', name]), options);
}

/** Pids of all processes in these namespaces; never of one in the caller's own. */
export async function processesIn(namespaces: readonly Namespace[]): Promise<number[]> {
  const stats = await Promise.all(namespaces.map(({ path }) => stat(path).catch(() => undefined)));
  const inodes = new Set(stats.filter((found) => found !== undefined).map(({ ino }) => `net:[${ino}]`));
  inodes.delete(await readlink('/proc/self/ns/net'));
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const namespaceOf = await Promise.all(pids.map(networkNamespaceOf));
  return pids.filter((_, i) => inodes.has(namespaceOf[i] ?? ''));
}

/** undefined for a process that has ended. */
async function networkNamespaceOf(pid: number): Promise<string | undefined> {
  return readlink(`/proc/${pid}/ns/net`).catch(() => undefined);
}
