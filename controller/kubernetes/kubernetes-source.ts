// Follows the cluster: declares what its objects say, once all kinds were seen and whenever it is other than before.
import type { ResourceId } from '../api/resources.ts';
import { describe } from '../api/resources.ts';
import type { Logger } from '../log.ts';
import type { Declared } from '../sources/declared.ts';
import type { ApiServer } from './api-server.ts';
import { Collection } from './collection.ts';
import { FOLLOWED } from './kinds.ts';
import { Reflector } from './reflector.ts';

/** Objects that come together are declared together. */
const GATHER_MS = 1;

export class KubernetesSource implements AsyncDisposable {
  readonly #collection = new Collection();
  readonly #reflectors: readonly Reflector[];
  readonly #log: Logger;
  readonly #changed: (declared: Declared) => void;
  #timer: NodeJS.Timeout | undefined;
  #hasDeclared = false;

  constructor(api: ApiServer, log: Logger, changed: (declared: Declared) => void) {
    this.#log = log;
    this.#changed = changed;
    this.#reflectors = FOLLOWED.map(
      (kind) =>
        new Reflector(api, kind, log, (changes) => {
          if (this.#collection.take(changes) || !this.#hasDeclared) this.#declareSoon();
        }),
    );
  }

  /** The status that the API server has of a rule; undefined for none. */
  statusOf(id: ResourceId): unknown {
    return this.#collection.statusOf(describe(id));
  }

  /** Whether all kinds were listed once. */
  get isComplete(): boolean {
    return this.#reflectors.every(({ hasListed }) => hasListed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#reflectors.map((reflector) => reflector[Symbol.asyncDispose]()));
  }

  #declareSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.isComplete) return;
      const declared = this.#collection.declared();
      if (!this.#hasDeclared) {
        const { rules, pods, namespaces, nodes } = declared;
        const counts = { rules: rules.length, pods: pods.length, namespaces: namespaces.length, nodes: nodes.length };
        this.#log.info(counts, 'cluster listed');
      }
      this.#hasDeclared = true;
      this.#changed(declared);
    }, GATHER_MS);
  }
}
