// Builds a Dockerfile into an image archive: with Docker where its engine runs, else with buildah, which needs none.
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, mustRun, type RunOptions, run } from '../lab/command.ts';
import { basesOf } from './dockerfile.ts';
import { CACHE } from './places.ts';

export type ImageSource = {
  /** The folder that COPY takes from. */
  readonly context: string;
  readonly dockerfile: string;
  /** As localhost/agnhost:1. */
  readonly tag: string;
};

export type ImageBuilder = {
  /** Writes `archive`, which `ctr images import` and `kind load image-archive` take. */
  build(image: ImageSource, archive: string, options: RunOptions): Promise<void>;
};

const BUILD_TIMEOUT_MS = 20 * 60_000;
const SAVE_TIMEOUT_MS = 3 * 60_000;

export const withDocker: ImageBuilder = {
  async build({ context, dockerfile, tag }, archive, options) {
    await mustRun(['docker', 'build', '--file', dockerfile, '--tag', tag, context], {
      ...options,
      timeoutMs: BUILD_TIMEOUT_MS,
    });
    await mustRun(['docker', 'save', '--output', archive, tag], { ...options, timeoutMs: SAVE_TIMEOUT_MS });
  },
};

/** What buildah notes of its mounts: of this cache alone, and gone when the machine starts anew. */
const RUN = join('/run/podwall-buildah', createHash('sha256').update(CACHE).digest('hex').slice(0, 12));

/** Its images and layers lie in the cache, apart from any other use of buildah on this machine. */
export const buildah = (...args: readonly string[]): Command => [
  'buildah',
  ...['--root', join(CACHE, 'buildah'), '--runroot', RUN, '--storage-driver', 'overlay'],
  ...args,
];

/** Takes FROM's images from `localImageOf`, since there is no engine that would pull them. */
export const withBuildah = (localImageOf: (base: string, options: RunOptions) => Promise<string>): ImageBuilder => ({
  async build({ context, dockerfile, tag }, archive, options) {
    const contexts: string[] = [];
    for (const base of basesOf(await readFile(dockerfile, 'utf8')))
      contexts.push('--build-context', `${base}=container-image://${await localImageOf(base, options)}`);
    const places = ['--file', dockerfile, '--tag', tag, context];
    await mustRun(buildah('build', '--isolation', 'chroot', '--layers', ...contexts, ...places), {
      ...options,
      timeoutMs: BUILD_TIMEOUT_MS,
    });
    await rm(archive, { force: true });
    await mustRun(buildah('push', '--quiet', tag, `docker-archive:${archive}:${tag}`), {
      ...options,
      timeoutMs: SAVE_TIMEOUT_MS,
    });
  },
});

/** Whether a Docker engine answers: its client alone builds nothing. */
export async function dockerRuns(): Promise<boolean> {
  const answer = await run(['docker', 'info', '--format', '{{.ServerVersion}}']).catch(() => undefined);
  return answer?.code === 0 && answer.stdout.trim() !== '';
}
