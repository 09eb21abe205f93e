// What the parts of a local cluster are called on this machine.
import { type Namespace, namespaceNamed } from '../lab/namespace.ts';
import type { Cluster } from './places.ts';

export const routerOf = ({ name }: Cluster): Namespace => namespaceNamed(`podwall-cluster-${name}`);
export const outsideOf = ({ name }: Cluster): Namespace => namespaceNamed(`podwall-cluster-${name}-outside`);
export const nodeName = (index: number): string => `n${index}`;
export const nodeNamespace = ({ name }: Cluster, node: string): Namespace =>
  namespaceNamed(`podwall-cluster-${name}-${node}`);

export const namespacesOf = (cluster: Cluster, nodes: readonly string[]): Namespace[] => [
  ...nodes.map((node) => nodeNamespace(cluster, node)),
  outsideOf(cluster),
  routerOf(cluster),
];
