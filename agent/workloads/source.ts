// Where workloads come from: what a source tells the agent, and what it may ask.
import type { NamespaceName } from './netns/pod-link.ts';

/** A workload of this node, and where its interface is. */
export type Place = {
  readonly namespace: string;
  readonly name: string;
  /** Absent where the source knows it by name only. */
  readonly uid?: string;
  readonly netns: NamespaceName;
  readonly interface: string;
};

export type Identity = Pick<Place, 'uid' | 'namespace' | 'name'>;

/** Tells workloads apart: the uid, or namespace and name where there is none. */
export const idOf = ({ uid, namespace, name }: Identity): string => uid ?? nameOf({ namespace, name });
export const nameOf = ({ namespace, name }: Identity): string => `${namespace}/${name}`;

/** How far a workload is. */
export type Readiness =
  /** dp has confirmed its policy; also that it has none, where no rule selects it. */
  | { readonly kind: 'inForce' }
  /** It can not be policed at all. */
  | { readonly kind: 'unpoliced'; readonly reason: string }
  /** `isLong`: nothing is known to be on its way (dp or etcd is gone), so that waiting for it is of no use. */
  | { readonly kind: 'waiting'; readonly reason: string; readonly isLong: boolean };

export type SourceListener = {
  /** All workloads that there are now. */
  readonly setPlaces: (places: readonly Place[]) => void;
  /** These are waited for, by id: they go before all others, and at once. */
  readonly setAwaited: (ids: ReadonlySet<string>) => void;
  readonly readinessOf: (workload: Identity) => Readiness;
  /** What can't be done at present, by what it is about; undefined: it is over. */
  readonly setProblem: (topic: string, problem: string | undefined) => void;
};

export type WorkloadSource = AsyncDisposable & {
  /** Any workload's readiness may have changed. */
  readonly wake: () => void;
};
