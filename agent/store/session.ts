// One connection to etcd for as long as it is whole: lists and watches ranges of keys, writes keys under a lease.
import {
  Etcd3,
  type IKeyValue,
  type IOptions,
  type IRangeRequest,
  type IRangeResponse,
  type IResponseHeader,
  type IWatchResponse,
  Range,
} from 'etcd3';

const CALL_TIMEOUT_MS = 3000;
const PAGE_KEYS = 1000;
/** In the answer to a watch that could not be made. */
const NO_WATCH = '-1';

/** Dead peers are noticed by pings, since a watch is silent for as long as nothing changes. */
const grpcOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': -1,
} as const;

export type EtcdOptions = {
  readonly url: string;
  /** For TLS: PEM. */
  readonly credentials?: NonNullable<IOptions['credentials']>;
};

/** One key, or all keys that begin with it. */
export type KeyRange = { readonly key: string; readonly isPrefix: boolean };
export type Entry = { readonly key: string; readonly text: string; readonly createRevision: string };
/** `text` is undefined for a key that was deleted. */
export type Change = Omit<Entry, 'text'> & { readonly text: string | undefined };
/** Which store it is, and how far it has come. */
export type History = { readonly clusterId: string; readonly term: bigint; readonly revision: bigint };
export type Listing = { readonly entries: readonly Entry[]; readonly history: History };

type WatchStream = Awaited<ReturnType<Etcd3['watchClient']['watch']>>;
type KeepAliveStream = Awaited<ReturnType<Etcd3['leaseClient']['leaseKeepAlive']>>;

export class EtcdSession implements Disposable {
  /** Resolves with the reason once anything may have been missed: then it is of no more use. */
  readonly ended: Promise<string>;
  readonly #client: Etcd3;
  /** Gives the session up. */
  readonly end: (reason: string) => void;
  readonly #receivers = new Map<string, (changes: readonly Change[]) => void>();
  #stream: WatchStream | undefined;
  #keepAlive: { readonly stream: KeepAliveStream; readonly timer: NodeJS.Timeout } | undefined;
  #lease: string | undefined;
  #lastWatch = 0;
  #history: History | undefined;

  constructor({ url, credentials }: EtcdOptions) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    this.end = resolve;
    this.#client = new Etcd3({
      hosts: url,
      grpcOptions,
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + CALL_TIMEOUT_MS }),
      ...(credentials && { credentials }),
    });
  }

  /** As of the last answer. */
  get history(): History | undefined {
    return this.#history;
  }

  /** Everything in the range at one revision. A failure also ends the session. */
  async list({ key, isPrefix }: KeyRange): Promise<Listing> {
    const { start, end } = isPrefix ? Range.prefix(key) : { start: Buffer.from(key), end: undefined };
    const entries: Entry[] = [];
    let history: History | undefined;
    let from: Buffer | undefined = start;
    while (from) {
      const request: IRangeRequest = { key: from, limit: PAGE_KEYS };
      if (end) request.range_end = end;
      if (history) request.revision = history.revision.toString();
      const page: IRangeResponse = await this.#call(this.#client.kv.range(request));
      history ??= this.#see(page.header);
      entries.push(...page.kvs.map(toEntry));
      const last = page.kvs.at(-1);
      from = page.more && last ? Buffer.concat([last.key, Buffer.of(0)]) : undefined;
    }
    if (!history) throw new Error(`no answer to the listing of ${key}`);
    return { entries, history };
  }

  /** Calls `receive` for every change after the revision, in order, until the answered function is called. */
  async watch(
    { key, isPrefix }: KeyRange,
    after: bigint,
    receive: (changes: readonly Change[]) => void,
  ): Promise<() => void> {
    this.#stream ??= await this.#openWatches();
    const stream = this.#stream;
    this.#lastWatch += 1;
    const id = String(this.#lastWatch);
    this.#receivers.set(id, receive);
    const { start, end } = isPrefix ? Range.prefix(key) : { start: Buffer.from(key), end: undefined };
    const range = { key: start, ...(end && { range_end: end }) };
    stream.write({ create_request: { ...range, start_revision: (after + 1n).toString(), watch_id: id } });
    return () => {
      this.#receivers.delete(id);
      stream.write({ cancel_request: { watch_id: id } });
    };
  }

  /** What is put from then on lives for as long as the session, and `ttlSeconds` longer. */
  async grantLease(ttlSeconds: number): Promise<void> {
    const { ID } = await this.#call(this.#client.leaseClient.leaseGrant({ TTL: ttlSeconds }));
    this.#lease = ID;
    const stream = await this.#call(this.#client.leaseClient.leaseKeepAlive());
    stream
      .on('error', (error) => this.end(error.message))
      .on('end', () => this.end('the stream of lease renewals ended'))
      .on('data', ({ TTL }) => {
        if (Number(TTL) <= 0) this.end('the lease expired');
      });
    this.#keepAlive = { stream, timer: setInterval(() => stream.write({ ID }), (ttlSeconds * 1000) / 3) };
  }

  async put(key: string, text: string): Promise<void> {
    const lease = this.#lease === undefined ? {} : { lease: this.#lease };
    await this.#call(this.#client.kv.put({ key: Buffer.from(key), value: Buffer.from(text), ...lease }));
  }

  async delete(key: string): Promise<void> {
    await this.#call(this.#client.kv.deleteRange({ key: Buffer.from(key) }));
  }

  /** Removes all that was put under the lease. */
  async revokeLease(): Promise<void> {
    if (this.#lease !== undefined) await this.#call(this.#client.leaseClient.leaseRevoke({ ID: this.#lease }));
  }

  [Symbol.dispose](): void {
    this.end('closed');
    this.#receivers.clear();
    clearInterval(this.#keepAlive?.timer);
    this.#keepAlive?.stream.cancel();
    this.#stream?.cancel();
    this.#client.close();
  }

  async #openWatches(): Promise<WatchStream> {
    const stream = await this.#call(this.#client.watchClient.watch());
    return stream
      .on('error', (error) => this.end(error.message))
      .on('end', () => this.end('the stream of changes ended'))
      .on('data', (response) => this.#receive(response));
  }

  #receive({ watch_id, header, events, canceled, cancel_reason }: IWatchResponse): void {
    const receive = this.#receivers.get(watch_id);
    if (!receive && watch_id !== NO_WATCH) return; // cancelled by us
    if (canceled) this.end(`a watch was cancelled: ${cancel_reason || 'its revisions were compacted'}`);
    if (canceled || !receive) return;
    this.#see(header);
    if (events.length === 0) return;
    receive(
      events.map(({ type, kv }) => {
        const entry = toEntry(kv);
        return { ...entry, text: type.toLowerCase() === 'delete' ? undefined : entry.text };
      }),
    );
  }

  #see({ cluster_id, raft_term, revision }: IResponseHeader): History {
    this.#history = { clusterId: cluster_id, term: BigInt(raft_term), revision: BigInt(revision) };
    return this.#history;
  }

  async #call<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }
}

const toEntry = ({ key, value, create_revision }: IKeyValue): Entry => ({
  key: key.toString(),
  text: value.toString(),
  createRevision: create_revision,
});
