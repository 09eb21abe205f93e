// A folder that holds programs of this machine with the shared libraries that they load, to become an image's root.
import { constants } from 'node:fs';
import { copyFile, mkdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mustRun, type RunOptions, run } from '../lab/command.ts';

const LIBRARY = /(?:=> )?(?<path>\/\S+) \(0x/g;

/** `programs` are names in PATH, or absolute paths; each comes to lie in /bin. */
export async function addPrograms(tree: string, programs: readonly string[], options: RunOptions): Promise<void> {
  await mkdir(join(tree, 'bin'), { recursive: true });
  for (const name of programs) {
    const path = (await mustRun(['sh', '-c', 'command -v "$0"', name], options)).stdout.trim();
    await copy(path, join(tree, 'bin', name.slice(name.lastIndexOf('/') + 1)));
    // A static program or a script has none, which ldd says by its exit code.
    const { stdout } = await run(['ldd', path], options);
    for (const library of librariesIn(stdout)) await copy(library, join(tree, library));
  }
}

/** The files that ldd(1) names, the loader among them. */
export const librariesIn = (ldd: string): string[] =>
  [...ldd.matchAll(LIBRARY)].flatMap(({ groups }) => (groups?.path ? [groups.path] : []));

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(await realpath(from), to, constants.COPYFILE_FICLONE);
}
