// kubectl and helm on a cluster, as it is built from the same modules.
import type { Command } from '../lab/command.ts';
import { type Cluster, program } from './places.ts';

export const kubectl = ({ kubeconfig }: Cluster, ...args: readonly string[]): Command => [
  program('kubectl'),
  `--kubeconfig=${kubeconfig}`,
  ...args,
];

export const helm = ({ kubeconfig }: Cluster, ...args: readonly string[]): Command => [
  program('helm'),
  `--kubeconfig=${kubeconfig}`,
  ...args,
];
