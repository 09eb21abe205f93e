// Where a cluster's parts lie on this machine: what is built and kept, and what lives and goes with a cluster.
import { homedir } from 'node:os';
import { join } from 'node:path';

export const REPOSITORY = join(import.meta.dirname, '../..');

/** Built once and kept: outside the repository, so that every work tree shares it. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'podwall/cluster');
export const PROGRAMS = join(CACHE, 'bin');
/** Image archives that every node of a new cluster gets. */
export const IMAGES = join(CACHE, 'images');

const STATE = '/var/lib/podwall-cluster';

/** A cluster's folder holds all of it that is on disk; `down` removes it. */
export type Cluster = {
  readonly name: string;
  readonly directory: string;
  readonly kubeconfig: string;
};

export function clusterNamed(name: string): Cluster {
  const directory = join(STATE, name);
  return { name, directory, kubeconfig: join(directory, 'kubeconfig') };
}

export const program = (name: string): string => join(PROGRAMS, name);
