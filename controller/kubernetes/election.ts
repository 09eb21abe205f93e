// Takes part in the election of a leader by a Lease, for as long as the process runs.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.ts';
import { ApiError, type ApiServer } from './api-server.ts';
import { isOpenTo, type Lease, nextSpec, readLease, type Sighting, sight } from './lease.ts';

/** A follower takes over this long after the leader's last renewal, and one look later. */
const DURATION_MS = 8000;
/** A leader that could not renew for so long leads no more: before anyone else may. */
const RENEW_DEADLINE_MS = 5000;
const LOOK_MS = 1500;
const CALL_TIMEOUT_MS = 3000;

export type ElectionOptions = { readonly namespace: string; readonly name: string; readonly me: string };

/** Called at each turn: with the lease's term once this process leads, with undefined once it does not any more. */
export type Turned = (term: number | undefined) => void;

export class Election implements AsyncDisposable {
  readonly #api: ApiServer;
  readonly #options: ElectionOptions;
  readonly #log: Logger;
  readonly #turned: Turned;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #sighting: Sighting | undefined;
  #isLeading = false;
  #deadline: NodeJS.Timeout | undefined;
  #hasToldError = false;

  constructor(api: ApiServer, options: ElectionOptions, log: Logger, turned: Turned) {
    this.#api = api;
    this.#options = options;
    this.#log = log;
    this.#turned = turned;
    this.#done = this.#run();
  }

  /** A leader gives the lease up, so that another need not wait for it to run out. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
    clearTimeout(this.#deadline);
    const lease = this.#sighting?.lease;
    if (!this.#isLeading || !lease) return;
    this.#isLeading = false;
    await this.#write('', lease).catch((error) => this.#tell(error));
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#look();
        this.#hasToldError = false;
      } catch (error) {
        if (!(error instanceof ApiError && error.code === 409)) this.#tell(error); // another was quicker
      }
      await sleep(LOOK_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined); // aborted: the loop ends
    }
  }

  async #look(): Promise<void> {
    const startMs = performance.now();
    const found = await this.#read();
    const nowMs = performance.now();
    if (found) this.#sighting = sight(found, this.#sighting, nowMs);
    if (found && this.#sighting && !isOpenTo(this.#options.me, this.#sighting, nowMs)) {
      this.#lose();
      return;
    }
    const lease = await this.#write(this.#options.me, found);
    this.#sighting = sight(lease, this.#sighting, nowMs);
    clearTimeout(this.#deadline);
    const leftMs = startMs + RENEW_DEADLINE_MS - performance.now();
    this.#deadline = setTimeout(() => this.#lose(), Math.max(0, leftMs));
    if (this.#isLeading) return;
    this.#isLeading = true;
    this.#log.info({ me: this.#options.me, term: lease.transitions }, 'leading');
    this.#turned(lease.transitions);
  }

  #lose(): void {
    if (!this.#isLeading) return;
    this.#isLeading = false;
    this.#log.warn({ me: this.#options.me, holder: this.#sighting?.lease.holder }, 'leading no more');
    this.#turned(undefined);
  }

  get #path(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#options.namespace}/leases`;
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return readLease(await this.#api.call('GET', `${this.#path}/${this.#options.name}`, undefined, CALL_TIMEOUT_MS));
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  /** Refused with 409 where the lease is other than `before`. */
  async #write(holder: string, before: Lease | undefined): Promise<Lease> {
    const { name, namespace } = this.#options;
    const version = before ? { resourceVersion: before.resourceVersion } : {};
    const body = {
      ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace, ...version } },
      spec: nextSpec({ holder, durationMs: DURATION_MS, nowMs: Date.now() }, before),
    };
    const written = before
      ? await this.#api.call('PUT', `${this.#path}/${name}`, body, CALL_TIMEOUT_MS)
      : await this.#api.call('POST', this.#path, body, CALL_TIMEOUT_MS);
    return readLease(written);
  }

  #tell(error: unknown): void {
    if (this.#hasToldError) return;
    this.#hasToldError = true;
    const message = error instanceof Error ? error.message : String(error);
    this.#log.warn({ lease: this.#options.name, error: message }, 'lease out of reach, trying on');
  }
}
