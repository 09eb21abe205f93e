// Status as files beside the rules, for where there is no API server: each written whole or not at all, and seldom but
// where it turned.
import { readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fieldsOf } from '../api/fields.ts';
import { NETWORK_POLICY_API_VERSION } from '../api/network-policy.ts';
import { API_VERSION } from '../api/network-rule.ts';
import type { ResourceId } from '../api/resources.ts';
import { type Condition, STATUS_SUFFIX } from '../api/status.ts';
import type { Logger } from '../log.ts';
import { formatYaml, parseYaml } from '../yaml.ts';
import { NOTHING_SHOWN, type ResourceStatus, readShown, type Shown, type StatusSink } from './status-sink.ts';

/** Of what only counts on; that a rule came into force, or no longer is, is not kept waiting. */
const MIN_INTERVAL_MS = 1000;

type Written = { text: string; atMs: number; shown: Shown };

export class StatusFiles implements StatusSink, AsyncDisposable {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #written: Map<string, Written>;
  #wanted = new Map<string, ResourceStatus>();
  /** Not before all is known: a file may be of a resource that could not be read yet. */
  #mayRemove = false;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #lastError = '';
  #count = 0;

  private constructor(folder: string, log: Logger, written: Map<string, Written>) {
    this.#folder = folder;
    this.#log = log;
    this.#written = written;
  }

  /** Takes over the files that an earlier run left. Throws where the folder can't be read. */
  static async open(folder: string, log: Logger): Promise<StatusFiles> {
    const written = new Map<string, Written>();
    for (const name of (await readdir(folder)).filter(
      (name) => name.endsWith(STATUS_SUFFIX) && !name.startsWith('.'),
    )) {
      const text = await readFile(join(folder, name), 'utf8');
      const shown = readOwn(name, text);
      if (shown) written.set(name, { text, atMs: 0, shown });
    }
    return new StatusFiles(folder, log, written);
  }

  /** How many were written since the start. */
  get count(): number {
    return this.#count;
  }

  shown(id: ResourceId): Shown {
    const file = statusFile(id);
    const wanted = this.#wanted.get(file);
    return wanted ? readShown(wanted.status) : (this.#written.get(file)?.shown ?? NOTHING_SHOWN);
  }

  set(statuses: readonly ResourceStatus[], areAll: boolean): void {
    this.#mayRemove = areAll;
    this.#wanted = new Map(statuses.map((status) => [statusFile(status.id), status]));
    this.#flushIn(0);
  }

  /** Writes what is still to be written. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#flushing;
    await this.#flush(0);
  }

  #flushIn(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#flushing = this.#flushing.then(() => this.#flush(MIN_INTERVAL_MS));
    }, delayMs);
  }

  async #flush(minIntervalMs: number): Promise<void> {
    let nextMs = Number.POSITIVE_INFINITY;
    try {
      for (const [file, wanted] of this.#wanted) {
        const written = this.#written.get(file);
        const text = formatStatus(wanted);
        if (written?.text === text) continue;
        const waitMs = (written?.atMs ?? 0) + minIntervalMs - Date.now();
        const isKept = written && turns(written.shown.conditions) === turns(wanted.status.conditions);
        if (isKept && waitMs > 0) nextMs = Math.min(nextMs, waitMs);
        else await this.#write(file, text, readShown(wanted.status));
      }
      for (const file of this.#mayRemove ? this.#written.keys() : []) {
        if (!this.#wanted.has(file)) await this.#remove(file);
      }
      this.#lastError = '';
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#lastError) this.#log.error({ folder: this.#folder, error: message }, 'status not written');
      this.#lastError = message;
      nextMs = MIN_INTERVAL_MS;
    }
    if (minIntervalMs > 0 && Number.isFinite(nextMs)) this.#flushIn(nextMs);
  }

  async #write(file: string, text: string, shown: Shown): Promise<void> {
    const temporary = join(this.#folder, `.${file}.tmp`);
    await writeFile(temporary, text);
    await rename(temporary, join(this.#folder, file));
    this.#written.set(file, { text, atMs: Date.now(), shown });
    this.#count += 1;
  }

  async #remove(file: string): Promise<void> {
    await unlink(join(this.#folder, file)).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    });
    this.#written.delete(file);
  }
}

/**
 * `shop.checkout.status.yaml`; `_cluster.checkout.status.yaml` for a cluster resource, and
 * `_networkpolicy.shop.checkout.status.yaml`, as a rule may have the same name: no namespace begins with `_`.
 */
export function statusFile({ kind, namespace, name }: ResourceId): string {
  const prefix = kind === 'NetworkPolicy' ? '_networkpolicy.' : '';
  return `${prefix}${namespace === '' ? '_cluster' : namespace}.${name}${STATUS_SUFFIX}`;
}

/** What differs where a condition turned. */
const turns = (conditions: readonly Condition[]): string =>
  JSON.stringify(conditions.map(({ type, status, observedGeneration }) => [type, status, observedGeneration]));

const apiVersionOf = (kind: string): string => (kind === 'NetworkPolicy' ? NETWORK_POLICY_API_VERSION : API_VERSION);

function formatStatus({ id: { kind, namespace, name }, status }: ResourceStatus): string {
  const metadata = { name, ...(namespace === '' ? {} : { namespace }), generation: status.observedGeneration };
  return formatYaml({ apiVersion: apiVersionOf(kind), kind, metadata, status });
}

/** Undefined for a file that is no status of ours: it is left alone. */
function readOwn(file: string, text: string): Shown | undefined {
  const [document] = parseYaml(text);
  if (!document || 'error' in document) return undefined;
  const { apiVersion, kind, metadata, status } = fieldsOf(document.value);
  const { name, namespace = '' } = fieldsOf(metadata);
  const isOurs =
    typeof kind === 'string' &&
    typeof name === 'string' &&
    typeof namespace === 'string' &&
    apiVersion === apiVersionOf(kind) &&
    statusFile({ kind, namespace, name }) === file;
  return isOurs && Array.isArray(fieldsOf(status).conditions) ? readShown(status) : undefined;
}
