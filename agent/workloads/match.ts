// Which published workload a workload of this node is. Pure.
import type { PublishedWorkload } from '@podwall/controller/api/keyspace.ts';
import { type Identity, nameOf } from './source.ts';

/** By uid where the workload has one, else by namespace and name. */
export class PublishedWorkloads {
  readonly #byUid: ReadonlyMap<string, PublishedWorkload>;
  readonly #byName: ReadonlyMap<string, PublishedWorkload>;

  constructor(workloads: Iterable<PublishedWorkload>) {
    const all = [...workloads];
    this.#byUid = new Map(all.map((workload) => [workload.uid, workload]));
    this.#byName = new Map(all.map((workload) => [nameOf(workload), workload]));
  }

  find({ uid, namespace, name }: Identity): PublishedWorkload | undefined {
    return uid === undefined ? this.#byName.get(nameOf({ namespace, name })) : this.#byUid.get(uid);
  }
}
