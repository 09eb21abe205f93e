// The two ways to have a cluster, as seen from the command line and the tests.
import type { Command, RunOptions } from '../lab/command.ts';
import type { Say } from '../lab/progress.ts';
import type { Cni } from './node-files.ts';
import type { Cluster } from './places.ts';

export type Wish = { readonly nodes: number; readonly cni: Cni };

export type Work = RunOptions & { readonly say: Say };

export type Provider = {
  readonly name: 'local' | 'kind';
  /** Makes what the cluster is made of, as far as it is not in the cache. */
  build(work: Work): Promise<void>;
  /** Resolves once nodes and DNS are ready. Of a cluster that is up already, starts what does not run. */
  up(cluster: Cluster, wish: Wish, work: Work): Promise<void>;
  /** Removes all of it; does nothing where there is none. */
  down(cluster: Cluster, work: Work): Promise<void>;
  isUp(cluster: Cluster): Promise<boolean>;
  /** Nodes by name; none where the cluster is not up. */
  nodes(cluster: Cluster): Promise<string[]>;
  /** A command line of this machine that runs `command` in a node. */
  inNode(cluster: Cluster, node: string, command: Command): Promise<Command>;
  /** Puts an image archive into a node. */
  load(cluster: Cluster, node: string, archive: string, options: RunOptions): Promise<void>;
};
