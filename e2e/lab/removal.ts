// Removes a lab, whoever made it: ends its processes, detaches its programs, deletes its namespaces and files.
import { access, lstat, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';
import { LabError } from './failure.ts';
import { deleteNamespace, inside, type Namespace, NETNS_DIRECTORY, namespaceNamed, processesIn } from './namespace.ts';
import { BPFFS, directoryOf, labOfName, makerOf, namespaceOf, pinsOf } from './naming.ts';
import { isRunning, sendSignal } from './signal.ts';
import { poll, waitFor } from './wait.ts';

const KEPT = 'kept';
const STOP_TIMEOUT_MS = 3_000;
const KILL_TIMEOUT_MS = 2_000;
const DP = join(import.meta.dirname, '../../dp/main.ts');

/** `pids` are further processes of it: one that has just been started may not have entered its namespace yet. */
export async function removeLab(id: string, pids: readonly number[] = []): Promise<void> {
  const namespaces = await namespacesOf(id);
  await endProcesses(namespaces, pids);
  await removePins(id, namespaces);
  await Promise.all(namespaces.map(deleteNamespace));
  await rm(directoryOf(id), { recursive: true, force: true });
}

/** Marks a lab to be left alone although its maker has ended. */
export const markKept = (id: string): Promise<void> => writeFile(join(directoryOf(id), KEPT), '');

/** As removeLab, for a lab that was kept; throws LabError NoSuchLab for any other, which may be in use. */
export async function removeKeptLab(id: string): Promise<void> {
  const existing = await existingLabs();
  const kept = await Promise.all(existing.map(isKept));
  const ids = existing.filter((_, i) => kept[i]);
  if (!ids.includes(id))
    throw new LabError('NoSuchLab', `no lab ${id} was kept; those that were: ${ids.join(', ') || 'none'}`);
  await removeLab(id);
}

/** Removes what runs that were killed have left; says which labs these were. */
export async function removeAbandonedLabs(): Promise<string[]> {
  const ids = await existingLabs();
  const kept = await Promise.all(ids.map(isKept));
  const abandoned = ids.filter((id, i) => !kept[i] && !isRunning(makerOf(id)));
  for (const id of abandoned) await removeLab(id);
  return abandoned;
}

/** Every lab of which anything exists. */
export async function existingLabs(): Promise<string[]> {
  const names = [...(await entries(NETNS_DIRECTORY)), ...(await entries(BPFFS)), ...(await ownFolders(tmpdir()))];
  return [...new Set(names.map(labOfName).filter((id) => id !== undefined))];
}

/** Folders of the caller's own: in a folder that all may write to, a name alone proves nothing. */
async function ownFolders(parent: string): Promise<string[]> {
  const names = (await entries(parent)).filter((name) => labOfName(name) !== undefined);
  const stats = await Promise.all(names.map((name) => lstat(join(parent, name))));
  return names.filter((_, i) => stats[i]?.isDirectory() && stats[i].uid === process.getuid?.());
}

async function namespacesOf(id: string): Promise<Namespace[]> {
  return (await entries(NETNS_DIRECTORY)).filter((name) => labOfName(name) === id).map(namespaceNamed);
}

async function endProcesses(namespaces: readonly Namespace[], pids: readonly number[]): Promise<void> {
  const remaining = async () => [...(await processesIn(namespaces)), ...pids.filter(isRunning)];
  const none = async () => (await remaining()).length === 0 || undefined;
  for (const pid of await remaining()) sendSignal(pid, 'SIGTERM');
  if (await poll(none, { timeoutMs: STOP_TIMEOUT_MS })) return;
  for (const pid of await remaining()) sendSignal(pid, 'SIGKILL');
  await waitFor('the lab’s killed processes to end', none, { timeoutMs: KILL_TIMEOUT_MS });
}

/** Pinned programs outlive dp by design, so dp itself is asked to take them away; whatever it leaves goes all the same. */
async function removePins(id: string, namespaces: readonly Namespace[]): Promise<void> {
  const pins = pinsOf(id);
  if (!(await exists(pins))) return;
  const detach = [process.execPath, DP, '--detach', '--pin', pins] as const;
  const node = namespaces.find(({ name }) => name === namespaceOf(id, 'node').name);
  await run(node ? inside(node, detach) : detach);
  await rm(pins, { recursive: true, force: true });
}

const isKept = (id: string): Promise<boolean> => exists(join(directoryOf(id), KEPT));

const entries = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
