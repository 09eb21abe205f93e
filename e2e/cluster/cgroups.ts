// A node's own place in this machine's cgroups (v1): under the caller's, one in each hierarchy.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from '../lab/failure.ts';
import { poll } from '../lab/wait.ts';

const ROOT = '/sys/fs/cgroup';
const REMOVAL_TIMEOUT_MS = 10_000;

/** The folders of a process's cgroups, from its /proc/…/cgroup; cgroup2's is left out. See cgroups(7). */
export function cgroupsOf(text: string): { readonly directory: string; readonly hasCpuset: boolean }[] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, names]) => names)
    .map(([, names = '', path = '/']) => ({
      directory: join(ROOT, names.replace(/^name=/, ''), path),
      hasCpuset: names.split(',').includes('cpuset'),
    }));
}

/** Makes a cgroup of this name in each hierarchy, and says where. Throws on a machine that has cgroup v2 alone. */
export async function makeCgroups(name: string): Promise<string[]> {
  const parents = cgroupsOf(await readFile('/proc/self/cgroup', 'utf8'));
  if (parents.length === 0 || !parents.every(({ directory }) => existsSync(directory)))
    throw new LabError(
      'CommandFailed',
      'a local cluster needs the controllers of cgroup v1, which this machine does not have: use kind, with Docker',
    );
  const made: string[] = [];
  for (const { directory, hasCpuset } of parents) {
    const own = join(directory, name);
    await mkdir(own, { recursive: true });
    // Nothing may run in a cpuset that names no cpu.
    if (hasCpuset)
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        await writeFile(join(own, file), await readFile(join(directory, file)));
    made.push(own);
  }
  return made;
}

/** With all that is below it. Its processes must have ended, or be ending. */
export async function removeCgroup(directory: string): Promise<void> {
  const gone = async () => ((await removeTree(directory)) ? true : undefined);
  if (!(await poll(gone, { timeoutMs: REMOVAL_TIMEOUT_MS })))
    throw new LabError('TimedOut', `left behind: ${directory}`);
}

async function removeTree(directory: string): Promise<boolean> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(directory, entry.name));
  await rmdir(directory).catch(() => undefined);
  return !existsSync(directory);
}
