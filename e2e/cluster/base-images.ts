// Stand-ins for the public images that the Dockerfiles start from, made of Debian's packages and the project's own Node,
// for machines without a Docker engine. They trust this machine's certificates: for tests here, not to publish.
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { mustRun, type RunOptions, run } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import type { Say } from '../lab/progress.ts';
import { buildah } from './image-builder.ts';
import { CACHE } from './places.ts';

const DEBIAN = 'localhost/debian:bookworm-slim';
const NODE = 'localhost/node:24-bookworm-slim';
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const SOURCES = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];
const DEBOOTSTRAP_TIMEOUT_MS = 15 * 60_000;

/** The local image for `debian:bookworm-slim` or `node:24-bookworm-slim`; made at the first call, in some minutes. */
export const localBases =
  (say: Say) =>
  async (base: string, options: RunOptions): Promise<string> => {
    const local = `localhost/${base}`;
    if (local !== DEBIAN && local !== NODE)
      throw new LabError('CommandFailed', `there is no local image for FROM ${base}: there are ${DEBIAN} and ${NODE}`);
    if (!(await exists(DEBIAN))) await makeDebian(say, options);
    if (local === NODE && !(await exists(NODE))) await makeNode(options);
    return local;
  };

const exists = async (image: string): Promise<boolean> =>
  (await run(buildah('inspect', '--type', 'image', image))).code === 0;

async function makeDebian(say: Say, options: RunOptions): Promise<void> {
  const archive = join(CACHE, 'debian-bookworm.tar');
  if (!existsSync(archive)) {
    say('making a Debian base image with mmdebstrap: two or three minutes, once');
    const sources = SOURCES.find(existsSync);
    const part = `${archive}.part`;
    await mkdir(dirname(archive), { recursive: true });
    await mustRun(
      [
        ...(['mmdebstrap', '--quiet', '--mode=root', '--variant=minbase', '--format=tar'] as const),
        ...['--include=ca-certificates', 'bookworm', part, ...(sources ? [sources] : [])],
      ],
      { ...options, timeoutMs: DEBOOTSTRAP_TIMEOUT_MS },
    );
    await rename(part, archive);
  }
  await commit({ from: 'scratch', content: archive, image: DEBIAN, command: 'bash' }, options);
}

/** Laid out as the public image is: /usr/local/bin/node, npm, and the headers that addons are compiled with. */
async function makeNode(options: RunOptions): Promise<void> {
  const tree = await mkdtemp(join(tmpdir(), 'podwall-node-image-'));
  try {
    const local = join(tree, 'usr/local');
    const runtime = dirname(dirname(process.execPath));
    await mkdir(join(local, 'bin'), { recursive: true });
    await cp(process.execPath, join(local, 'bin/node'));
    await cp(join(runtime, 'include'), join(local, 'include'), { recursive: true });
    // Where npm is, not where it would install: with the project's Node in PATH, these differ.
    const { stdout: npm } = await mustRun(['sh', '-c', 'realpath "$(command -v npm)"'], options);
    await cp(dirname(dirname(npm)), join(local, 'lib/node_modules/npm'), { recursive: true });
    for (const tool of ['npm', 'npx'])
      await symlink(`../lib/node_modules/npm/bin/${tool}-cli.js`, join(local, 'bin', tool));
    await commit({ from: DEBIAN, content: tree, image: NODE, command: 'node' }, options);
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

type Layer = { readonly from: string; readonly content: string; readonly image: string; readonly command: string };

async function commit({ from, content, image, command }: Layer, options: RunOptions): Promise<void> {
  const longer = { ...options, timeoutMs: 3 * 60_000 };
  const container = (await mustRun(buildah('from', '--pull-never', from), longer)).stdout.trim();
  await mustRun(buildah('add', '--quiet', container, content, '/'), longer);
  if (existsSync(CERTIFICATES)) await mustRun(buildah('add', '--quiet', container, CERTIFICATES, CERTIFICATES), longer);
  const settings = ['--cmd', command, '--env', `NODE_EXTRA_CA_CERTS=${CERTIFICATES}`];
  await mustRun(buildah('config', ...settings, container), longer);
  await mustRun(buildah('commit', '--quiet', '--rm', container, image), longer);
}
