// One connection to etcd for as long as it is whole: lists a prefix, watches it from there, writes transactions.
import { once } from 'node:events';
import {
  Etcd3,
  type IKeyValue,
  type IOptions,
  type IRangeResponse,
  type IRequestOp,
  type IWatchResponse,
  type Lease,
  Range,
} from 'etcd3';
import { grantAccess } from './access.ts';

const CALL_TIMEOUT_MS = 5000;
const PAGE_KEYS = 1000;

/** Dead peers are noticed by pings, since a watch is silent for as long as nothing changes. */
const grpcOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.max_receive_message_length': -1,
} as const;

export type EtcdOptions = {
  readonly url: string;
  /** For TLS: PEM. */
  readonly credentials?: NonNullable<IOptions['credentials']> | undefined;
  /** Has etcd tell clients apart, as access.ts says, before anything else. */
  readonly grantsAccess?: boolean;
};

export type Entry = { readonly value: string; readonly revision: bigint };
export type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string };
/** One change that etcd tells of; `value` is undefined for a key that is gone. */
export type Change = { readonly key: string; readonly value: string | undefined; readonly revision: bigint };

export class EtcdUnavailableError extends Error {
  readonly code = 'ETCD_UNAVAILABLE';
  constructor(url: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`etcd at ${url} does not answer: ${reason}`, { cause });
    this.name = 'EtcdUnavailableError';
  }
}

/** A key that has to hold this value, or a write is refused. */
export type Guard = { readonly key: string; readonly value: string };

/** To be the one writer: the guard is put if `mayReplace` says so of the value that is there. */
export type Claim = {
  readonly guard: Guard;
  readonly ttlSeconds: number;
  readonly mayReplace: (value: string) => boolean;
};

/** Another process writes now: what was to be written was not. */
export class FencedError extends Error {
  readonly code = 'ETCD_FENCED';
  constructor(key: string) {
    super(`${key} in etcd names another writer`);
    this.name = 'FencedError';
  }
}

export class EtcdSession implements Disposable {
  readonly #url: string;
  readonly #client: Etcd3;
  readonly #broken = new AbortController();
  #lease: Lease | undefined;

  constructor({ url, credentials }: EtcdOptions) {
    this.#url = url;
    this.#client = new Etcd3({
      hosts: url,
      ...(credentials && { credentials }),
      dialTimeout: CALL_TIMEOUT_MS,
      grpcOptions,
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + CALL_TIMEOUT_MS }),
      ...(credentials && { credentials }),
    });
  }

  /** See access.ts. Throws EtcdUnavailableError. */
  grantAccess(): Promise<void> {
    return this.#call(grantAccess(this.#client));
  }

  /** Everything under the prefix as it was at one revision. Throws EtcdUnavailableError. */
  async list(prefix: string): Promise<{ readonly entries: Map<string, Entry>; readonly revision: bigint }> {
    const { start, end } = Range.prefix(prefix);
    const entries = new Map<string, Entry>();
    let key: Buffer | undefined = start;
    let revision: string | undefined;
    while (key) {
      const at = revision === undefined ? {} : { revision };
      const page: IRangeResponse = await this.#call(
        this.#client.kv.range({ key, range_end: end, limit: PAGE_KEYS, ...at }),
      );
      revision ??= page.header.revision;
      for (const { key: name, value, mod_revision } of page.kvs) {
        entries.set(name.toString(), { value: value.toString(), revision: BigInt(mod_revision) });
      }
      const last: IKeyValue | undefined = page.kvs.at(-1);
      key = page.more && last ? Buffer.concat([last.key, Buffer.of(0)]) : undefined;
    }
    return { entries, revision: BigInt(revision ?? 0) };
  }

  /** Calls `receive` for every change from `revision` on, in order; rejects as soon as one might be missed. */
  async watch(prefix: string, revision: bigint, receive: (changes: readonly Change[]) => void): Promise<never> {
    const { start, end } = Range.prefix(prefix);
    const stream = await this.#call(this.#client.watchClient.watch());
    const created = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const ended = Promise.withResolvers<never>();
    let isCreated = false;
    created.addEventListener('abort', () => {
      if (!isCreated) ended.reject(new Error(`no watch within ${CALL_TIMEOUT_MS} ms`));
    });
    stream
      .on('error', (error) => ended.reject(error))
      .on('end', () => ended.reject(new Error('the watch ended')))
      .on('data', (response: IWatchResponse) => {
        if (response.canceled)
          ended.reject(new Error(`the watch was cancelled: ${response.cancel_reason || 'compacted'}`));
        if (response.created) isCreated = true;
        if (response.events.length > 0) receive(response.events.map(toChange));
      });
    stream.write({
      create_request: { key: start, range_end: end, start_revision: revision.toString(), progress_notify: true },
    });
    try {
      return await Promise.race([ended.promise, this.#untilBroken()]);
    } catch (error) {
      throw new EtcdUnavailableError(this.#url, error);
    } finally {
      stream.cancel();
    }
  }

  /**
   * All of them or none, as one revision, which is answered. Throws EtcdUnavailableError, or FencedError where `guard` has
   * another value or is gone.
   */
  async write(operations: readonly Operation[], guard?: Guard): Promise<bigint> {
    const success = operations.map(
      (operation): IRequestOp =>
        operation.kind === 'put'
          ? { request_put: { key: Buffer.from(operation.key), value: Buffer.from(operation.value) } }
          : { request_delete_range: { key: Buffer.from(operation.key) } },
    );
    const compare = guard ? [holds(guard)] : [];
    const { header, succeeded } = await this.#call(this.#client.kv.txn({ compare, success }));
    if (guard && !succeeded) throw new FencedError(guard.key);
    return BigInt(header.revision);
  }

  /**
   * Puts the guard's value under a lease of this session's own, which ends `ttlSeconds` after the process or its connection
   * did; where the key has a value that `mayReplace` refuses, throws FencedError. Throws EtcdUnavailableError.
   */
  async claim({ guard, ttlSeconds, mayReplace }: Claim): Promise<void> {
    const key = Buffer.from(guard.key);
    const { kvs } = await this.#call(this.#client.kv.range({ key }));
    const [found] = kvs;
    if (found && !mayReplace(found.value.toString())) throw new FencedError(guard.key);
    this.#lease ??= this.#client.lease(ttlSeconds).on('lost', () => {
      this.#lease = undefined;
      this.break();
    });
    const lease = await this.#call(this.#lease.grant());
    const unchanged = { key, target: 'Mod', result: 'Equal', mod_revision: found?.mod_revision ?? '0' } as const;
    const put = { request_put: { key, value: Buffer.from(guard.value), lease } };
    const { succeeded } = await this.#call(this.#client.kv.txn({ compare: [unchanged], success: [put] }));
    if (!succeeded) throw new FencedError(guard.key);
  }

  /** Ends the watch, so that its owner begins anew. */
  break(): void {
    this.#broken.abort();
  }

  [Symbol.dispose](): void {
    this.break();
    this.#lease?.removeAllListeners('lost').on('lost', () => undefined);
    this.#lease?.release();
    this.#client.close();
  }

  async #untilBroken(): Promise<never> {
    if (!this.#broken.signal.aborted) await once(this.#broken.signal, 'abort');
    throw new Error('the connection was given up');
  }

  async #call<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      throw new EtcdUnavailableError(this.#url, error);
    }
  }
}

const holds = ({ key, value }: Guard) =>
  ({ key: Buffer.from(key), target: 'Value', result: 'Equal', value: Buffer.from(value) }) as const;

function toChange({ type, kv }: IWatchResponse['events'][number]): Change {
  const value = type === 'Put' ? kv.value.toString() : undefined;
  return { key: kv.key.toString(), value, revision: BigInt(kv.mod_revision) };
}
