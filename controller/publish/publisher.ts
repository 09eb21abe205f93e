// Writes to etcd what differs from what is desired, and tries on for as long as it can't.
import { keys } from '../api/keyspace.ts';
import { describe } from '../api/resources.ts';
import { readPublishedResource } from '../api/stored.ts';
import type { Mirror } from '../etcd/mirror.ts';
import type { Operation } from '../etcd/session.ts';
import type { Logger } from '../log.ts';
import type { Unread } from '../sources/declared.ts';
import { planWrites } from './plan.ts';
import { withholdRemovals } from './withhold.ts';

const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5000;

export class Publisher implements Disposable {
  readonly #mirror: Mirror;
  readonly #log: Logger;
  readonly #wake: () => void;
  #retryMs = FIRST_RETRY_MS;
  #timer: NodeJS.Timeout | undefined;
  #wasComplete = true;

  /** `wake` is called when it is time to publish again. */
  constructor(mirror: Mirror, log: Logger, wake: () => void) {
    this.#mirror = mirror;
    this.#log = log;
    this.#wake = wake;
  }

  /** Does nothing while etcd is away: the mirror tells when it is back, and all is compared anew. */
  async publish(desired: ReadonlyMap<string, string>, unread: Unread): Promise<void> {
    if (!this.#mirror.isConnected) return;
    const held = this.#mirror.entries;
    const wanted = withholdRemovals(desired, held, unread);
    this.#tellCompleteness(unread !== 'unknown');
    const batches = planWrites(wanted, held);
    const withdrawn = namesBefore(batches.flat(), held);
    try {
      for (const batch of batches) await this.#mirror.write(batch);
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#log.error({ error: message, retryMs: this.#retryMs }, 'not published, trying on');
      this.#timer = setTimeout(this.#wake, this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
      return;
    }
    this.#tellWritten(batches.flat(), withdrawn);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #tellCompleteness(isComplete: boolean): void {
    if (this.#wasComplete === isComplete) return;
    this.#wasComplete = isComplete;
    if (isComplete) this.#log.info('all rule files are valid, what none declares is withdrawn');
    else this.#log.warn('a rule file was never valid: until all are, nothing that is published is withdrawn');
  }

  #tellWritten(operations: readonly Operation[], withdrawn: ReadonlyMap<string, string>): void {
    if (operations.length === 0) return;
    for (const operation of operations) {
      if (!operation.key.startsWith(keys.rulesPrefix)) continue;
      if (operation.kind === 'delete') {
        this.#log.info({ resource: withdrawn.get(operation.key) }, 'withdrawn');
        continue;
      }
      const resource = readPublishedResource(operation.value);
      if (resource) this.#log.info({ resource: describe(resource), generation: resource.generation }, 'published');
    }
    const deletions = operations.filter(({ kind }) => kind === 'delete').length;
    this.#log.debug({ puts: operations.length - deletions, deletions }, 'etcd written');
  }
}

/** What the resources about to be deleted are called: after that, nothing says so any more. */
function namesBefore(
  operations: readonly Operation[],
  held: ReadonlyMap<string, { readonly value: string }>,
): Map<string, string> {
  const deleted = operations.filter(({ kind, key }) => kind === 'delete' && key.startsWith(keys.rulesPrefix));
  return new Map(
    deleted.map(({ key }) => {
      const resource = readPublishedResource(held.get(key)?.value ?? '');
      return [key, resource ? describe(resource) : key];
    }),
  );
}
