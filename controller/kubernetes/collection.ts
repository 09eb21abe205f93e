// What the cluster's objects declare: each read once, its last valid form kept while a later one is bad. Pure.
import { isDeepStrictEqual } from 'node:util';
import type { Refusal } from '../api/parse.ts';
import { describe, type Resource } from '../api/resources.ts';
import { type Declared, declare } from '../sources/declared.ts';
import { readManifest } from '../sources/read-manifest.ts';
import type { ApiObject } from './watch-events.ts';

type Kept = {
  /** Undefined for an object of which no version was valid. */
  readonly resource: Resource | undefined;
  readonly refusals: readonly Refusal[];
};

export class Collection {
  readonly #kept = new Map<string, Kept>();
  /** Status of each rule as the API server has it, by what people call the rule. */
  readonly #statuses = new Map<string, unknown>();

  /** Takes what a reflector tells; whether what is declared is other than before. */
  take(changes: ReadonlyMap<string, ApiObject | undefined>): boolean {
    let isChanged = false;
    for (const [uid, object] of changes) isChanged = this.#takeOne(uid, object) || isChanged;
    return isChanged;
  }

  /** As last seen; undefined while there is none. */
  statusOf(name: string): unknown {
    return this.#statuses.get(name);
  }

  declared(): Declared {
    const all = [...this.#kept.values()];
    const resources = all.flatMap(({ resource }) => (resource ? [resource] : []));
    const unread = [...this.#kept].filter(([, { resource }]) => !resource).map(([uid]) => uid);
    return declare(
      resources,
      all.flatMap(({ refusals }) => refusals),
      new Set(unread),
    );
  }

  #takeOne(uid: string, object: ApiObject | undefined): boolean {
    const before = this.#kept.get(uid);
    if (!object) {
      if (before?.resource) this.#statuses.delete(describe(before.resource));
      return this.#kept.delete(uid);
    }
    const { status, ...manifest } = object;
    const parsed = readManifest(object.kind === 'Pod' || object.kind === 'Node' ? object : manifest);
    const kept: Kept =
      'resource' in parsed
        ? { resource: parsed.resource, refusals: [] }
        : { resource: before?.resource, refusals: parsed.refusals };
    const id = kept.resource ?? kept.refusals[0]?.resource;
    if (id && 'spec' in object) this.#statuses.set(describe(id), status);
    if (before && isDeepStrictEqual(before, kept)) return false;
    this.#kept.set(uid, kept);
    return true;
  }
}
