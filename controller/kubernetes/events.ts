// Kubernetes Events on what turned: in the background, the same one counted up instead of repeated, and not too many.

import { fieldsOf } from '../api/fields.ts';
import type { Logger } from '../log.ts';
import type { Turn } from '../status/status-board.ts';
import { ApiError, type ApiServer } from './api-server.ts';
import { apiVersionOf } from './kinds.ts';

/** What is due beyond this is dropped and counted: events are for people. */
const MAX_DUE = 100;
/** Those whose repetition is counted up; the oldest are forgotten. */
const MAX_REMEMBERED = 1000;
/** Of an Event. */
const MAX_MESSAGE = 1024;
/** Events of cluster resources lie here, as the API server wants it. */
const CLUSTER_NAMESPACE = 'default';

type Told = { readonly name: string; count: number };

export class Events implements AsyncDisposable {
  readonly #api: ApiServer;
  readonly #log: Logger;
  readonly #reporter: string;
  readonly #due: Turn[] = [];
  readonly #told = new Map<string, Told>();
  #working: Promise<void> | undefined;
  #dropped = 0;
  #allDropped = 0;
  #isClosed = false;

  /** `reporter`: which controller it is. */
  constructor(api: ApiServer, log: Logger, reporter: string) {
    this.#api = api;
    this.#log = log;
    this.#reporter = reporter;
  }

  /** How many were dropped since the start. */
  get dropped(): number {
    return this.#allDropped;
  }

  announce(turn: Turn): void {
    if (this.#isClosed || turn.resource.uid === undefined) return;
    if (this.#due.length >= MAX_DUE) {
      this.#dropped++;
      this.#allDropped++;
    } else this.#due.push(turn);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let turn = this.#due.shift(); turn; turn = this.#due.shift()) {
      try {
        await this.#post(turn);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#log.warn({ reason: turn.reason, error: message }, 'event not written');
      }
    }
    if (this.#dropped > 0) this.#log.warn({ dropped: this.#dropped }, 'too many events at once, some were not written');
    this.#dropped = 0;
  }

  async #post(turn: Turn): Promise<void> {
    const { kind, namespace, name, uid } = turn.resource;
    const path = `/api/v1/namespaces/${namespace || CLUSTER_NAMESPACE}/events`;
    const key = `${uid} ${turn.reason} ${turn.message}`;
    const now = new Date().toISOString().replace(/\.\d+Z/, 'Z'); // metav1.Time has seconds
    const told = this.#told.get(key);
    if (told && (await this.#countUp(`${path}/${told.name}`, told, now))) return;
    const posted = await this.#api.call('POST', path, {
      ...{
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { generateName: `${name}.`, namespace: namespace || CLUSTER_NAMESPACE },
      },
      involvedObject: { apiVersion: apiVersionOf(kind), kind, ...(namespace ? { namespace } : {}), name, uid },
      type: turn.isWarning ? 'Warning' : 'Normal',
      reason: turn.reason,
      message: turn.message.slice(0, MAX_MESSAGE),
      ...{ count: 1, firstTimestamp: now, lastTimestamp: now },
      source: { component: 'podwall-controller' },
      ...{ reportingComponent: 'podwall.io/controller', reportingInstance: this.#reporter },
    });
    const { name: written } = fieldsOf(fieldsOf(posted).metadata);
    if (typeof written === 'string') this.#told.set(key, { name: written, count: 1 });
    const [oldest] = this.#told.keys();
    if (this.#told.size > MAX_REMEMBERED && oldest !== undefined) this.#told.delete(oldest);
  }

  /** False for an event that is no more: they live for an hour. */
  async #countUp(path: string, told: Told, now: string): Promise<boolean> {
    try {
      await this.#api.call('PATCH', path, { count: told.count + 1, lastTimestamp: now });
      told.count++;
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return false;
      throw error;
    }
  }
}
