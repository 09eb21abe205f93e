// The images that every node of a cluster has, and Podwall's own.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, type RunOptions } from '../lab/command.ts';
import { makeDatabase } from '../lab/servers/mariadb.ts';
import type { ImageBuilder } from './image-builder.ts';
import { CACHE, IMAGES, program, REPOSITORY } from './places.ts';
import { addPrograms } from './program-tree.ts';

const dockerfiles = join(import.meta.dirname, 'images');

/** A shell with what tests of a network call for. Programs that the machine lacks, as bpftool may be, are left out. */
const TOOLS = ['curl', 'ip', 'tc', 'nft', 'ss', 'dig', 'openssl', 'nsenter', 'mount', 'umount', 'findmnt'];
/** The demo's servers and clients. */
const SERVERS = ['mariadbd', 'mariadb', 'redis-server', 'redis-cli', 'nginx', 'dnsmasq', 'dig', 'curl', 'openssl'];
const OPTIONAL_TOOLS = ['ping', 'bpftool', 'tcpdump', 'ethtool'];

type Own = { readonly name: string; readonly lay: (context: string, options: RunOptions) => Promise<void> };

/** What only a local cluster needs: kind's nodes have their own, or pull it. */
const FOR_LOCAL: readonly Own[] = [
  { name: 'pause', lay: (context) => cp(program('pause'), join(context, 'pause')) },
  { name: 'coredns', lay: (context) => cp(program('coredns'), join(context, 'coredns')) },
];
const FOR_ALL: readonly Own[] = [
  { name: 'etcd', lay: (context) => cp(program('etcd'), join(context, 'etcd')) },
  { name: 'agnhost', lay: (context) => cp(program('agnhost'), join(context, 'agnhost')) },
  { name: 'tools', lay: layTools },
  { name: 'servers', lay: layServers },
];

/** Makes those that are missing, or all of them; a few seconds each. */
export async function buildNodeImages(
  builder: ImageBuilder,
  { forKind, anew }: { readonly forKind: boolean; readonly anew: boolean },
  options: RunOptions,
): Promise<void> {
  await mkdir(IMAGES, { recursive: true });
  for (const { name, lay } of forKind ? FOR_ALL : [...FOR_LOCAL, ...FOR_ALL]) {
    const archive = join(IMAGES, `${name}.tar`);
    if (existsSync(archive) && !anew) continue;
    const context = join(CACHE, 'context', name);
    await rm(context, { recursive: true, force: true });
    await mkdir(context, { recursive: true });
    await lay(context, options);
    // It appears under its name only when it is whole: nodes take all that is there.
    const part = join(CACHE, `${name}.part`);
    await builder.build(
      { context, dockerfile: join(dockerfiles, `${name}.Dockerfile`), tag: `localhost/${name}:1` },
      part,
      options,
    );
    await rename(part, archive);
    await rm(context, { recursive: true, force: true });
  }
}

export type Built = { readonly archive: string; readonly bytes: number };

/** deploy/Dockerfile, from the work tree as it is. */
export async function buildPodwall(builder: ImageBuilder, tag: string, options: RunOptions): Promise<Built> {
  await mkdir(CACHE, { recursive: true });
  // Each work tree has its own.
  const tree = createHash('sha256').update(REPOSITORY).digest('hex').slice(0, 8);
  const archive = join(CACHE, `podwall-${tree}.tar`);
  const dockerfile = join(REPOSITORY, 'deploy/Dockerfile');
  await builder.build({ context: REPOSITORY, dockerfile, tag }, archive, options);
  return { archive, bytes: (await stat(archive)).size };
}

/** Debian's own servers, with an empty database that has one account. */
async function layServers(tree: string, options: RunOptions): Promise<void> {
  for (const folder of ['tmp', 'etc', 'var/lib', 'usr/share', 'root'])
    await mkdir(join(tree, folder), { recursive: true });
  await addPrograms(tree, SERVERS, options);
  await addShell(tree, options);
  await writeFile(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(tree, 'etc/group'), 'root:x:0:\n');
  await cp('/usr/share/mysql', join(tree, 'usr/share/mysql'), { recursive: true });
  await makeDatabase(join(tree, 'var/lib/mysql'), options);
}

async function layTools(tree: string, options: RunOptions): Promise<void> {
  const has = (name: string) => existsSync(join('/usr/bin', name)) || existsSync(join('/usr/sbin', name));
  await mkdir(join(tree, 'tmp'));
  const built = [program('agnhost'), program('ctr')].filter(existsSync); // kind's nodes have a ctr of their own
  await addPrograms(tree, [...TOOLS, ...OPTIONAL_TOOLS.filter(has), ...built], options);
  await addShell(tree, options);
}

/** Busybox's programs where the tree has none of that name, and bash as sh, since busybox's prefers its own programs. */
async function addShell(tree: string, options: RunOptions): Promise<void> {
  await addPrograms(tree, ['bash', 'busybox'], options);
  await symlink('bash', join(tree, 'bin/sh'));
  const { stdout } = await mustRun(['busybox', '--list'], options);
  for (const applet of stdout.trim().split('\n'))
    if (!existsSync(join(tree, 'bin', applet))) await symlink('busybox', join(tree, 'bin', applet));
}
