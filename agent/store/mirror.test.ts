import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@podwall/controller/api/keyspace.ts';
import { Etcd } from '@podwall/e2e/etcd.ts';
import { pino } from 'pino';
import { Mirror, type Snapshot } from './mirror.ts';
import { EtcdSession } from './session.ts';
import { Store } from './store.ts';

const NODE = 'n1';
const QUIET_MS = 1000;
const ANOTHER_STORE = 'etcd is another store than before: what is in force stays until it is filled again';

const rule = (to: string) => ({
  ...{ name: 'r', direction: 'egress', from: 'nv.workload', to, ports: 'any', action: 'allow', applications: [] },
});
const resource = (uid: string, to: string, generation = 1) => ({
  ...{ uid, kind: 'NetworkRule', namespace: 'shop', name: uid, generation, tier: 200, priority: 100 },
  ...{ mode: 'Protect', defaultAction: 'deny', directions: ['egress'], rules: [rule(to)] },
});
const workload = (uid: string, resources: string[]) => ({ uid, namespace: 'shop', name: uid, resources, ports: {} });
const member = (ip: string) => ({ ips: [ip], ports: {} });

/** The agent's store on a real etcd, and a hand that writes as the controller does. */
class Bench implements AsyncDisposable {
  readonly etcd: Etcd;
  readonly snapshots: Snapshot[] = [];
  readonly logged: Record<string, unknown>[] = [];
  readonly #store: Store;

  /** `url`: the agent's way to it. */
  constructor(etcd: Etcd, url = etcd.url) {
    this.etcd = etcd;
    const log = pino({ level: 'debug' }, { write: (line) => this.logged.push(JSON.parse(line)) });
    const mirror = new Mirror(NODE, log, (snapshot) => this.snapshots.push(snapshot), QUIET_MS);
    this.#store = new Store({ url }, log, [(session) => mirror.follow(session)]);
  }

  async write(values: Record<string, object | undefined>): Promise<void> {
    using session = new EtcdSession({ url: this.etcd.url });
    for (const [key, value] of Object.entries(values))
      await (value === undefined ? session.delete(key) : session.put(key, JSON.stringify(value)));
  }

  get last(): Snapshot | undefined {
    return this.snapshots.at(-1);
  }

  has(message: string): boolean {
    return this.logged.some(({ msg }) => msg === message);
  }

  async until(isReached: () => boolean | undefined, withinMs = 8000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!isReached()) {
      if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms; last ${JSON.stringify(this.last)}`);
      await sleep(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

const uids = (snapshot: Snapshot | undefined): string[] => (snapshot?.workloads ?? []).map(({ uid }) => uid);
const members = (snapshot: Snapshot | undefined, hash: string): string[] | undefined =>
  snapshot?.groups.get(hash)?.flatMap(({ ips }) => ips);

const STATE = {
  [keys.groupMember('g1', 'p1')]: member('10.0.0.1'),
  [keys.groupMember('g1', 'p2')]: member('10.0.0.2'),
  [keys.rules('r1')]: resource('r1', 'nv.group.g1'),
  [keys.rules('unused')]: resource('unused', 'nv.group.unused'),
  [keys.workload(NODE, 'w1')]: workload('w1', ['r1']),
  [keys.workload('n2', 'w9')]: workload('w9', ['unused']),
};

describe('the mirror of etcd', { concurrency: true, timeout: 40_000 }, () => {
  it('holds this node’s workloads, the rules that they name, the groups that these name, and nothing else', async () => {
    await using etcd = await Etcd.start();
    await using bench = new Bench(etcd);
    await bench.write(STATE);
    await bench.until(() => members(bench.last, 'g1')?.length === 2);
    assert.deepEqual(uids(bench.last), ['w1']);
    assert.deepEqual([...(bench.last?.resources.keys() ?? [])], ['r1']);
    assert.deepEqual([...(bench.last?.groups.keys() ?? [])], ['g1']);
  });

  it('follows references as they come and go, and only ever shows whole states', async () => {
    await using etcd = await Etcd.start();
    await using bench = new Bench(etcd);
    await bench.write(STATE);
    await bench.until(() => members(bench.last, 'g1')?.length === 2);
    bench.snapshots.length = 0;
    await bench.write({
      [keys.groupMember('g2', 'p3')]: member('10.0.0.3'),
      [keys.rules('r1')]: resource('r1', 'nv.group.g2'),
    });
    await bench.until(() => members(bench.last, 'g2')?.length === 1);
    assert(
      bench.snapshots.every(({ groups, resources }) => {
        const named = resources.get('r1')?.rules[0]?.to === 'nv.group.g2' ? 'g2' : 'g1';
        return (groups.get(named)?.length ?? 0) > 0;
      }),
    );
    assert.deepEqual([...(bench.last?.groups.keys() ?? [])], ['g2']);
    bench.snapshots.length = 0;
    await bench.write({
      [keys.groupMember('g1', 'p2')]: undefined,
      [keys.groupMember('g2', 'p4')]: member('10.0.0.4'),
    });
    await bench.until(() => members(bench.last, 'g2')?.length === 2);
    assert.equal(bench.snapshots.length, 1, 'the group that is no longer named was still followed');
    await bench.write({ [keys.workload(NODE, 'w1')]: undefined });
    await bench.until(() => uids(bench.last).length === 0 && bench.last?.resources.size === 0);
  });

  it('shows a rule that is not there as missing, and a value that is not readable too', async () => {
    await using etcd = await Etcd.start();
    await using bench = new Bench(etcd);
    const unreadable = { ...resource('r2', 'nv.any'), mode: 'Panic' };
    await bench.write({ [keys.rules('r2')]: unreadable, [keys.workload(NODE, 'w1')]: workload('w1', ['r1', 'r2']) });
    await bench.until(() => uids(bench.last).length === 1);
    assert.equal(bench.last?.resources.size, 0);
    assert(bench.has('value in etcd is not readable'));
    await bench.write({ [keys.rules('r1')]: resource('r1', 'nv.any') });
    await bench.until(() => bench.last?.resources.has('r1'));
  });

  it('keeps what it knows while etcd is stopped, and takes what changed after, by itself and at once', async () => {
    await using etcd = await Etcd.start();
    await using bench = new Bench(etcd);
    await bench.write(STATE);
    await bench.until(() => members(bench.last, 'g1')?.length === 2);
    bench.snapshots.length = 0;
    await bench.etcd.stop('SIGKILL');
    await sleep(500);
    assert.equal(bench.snapshots.length, 0);
    assert(bench.has('etcd lost, what was known stays in force'));
    await bench.etcd.restart();
    await bench.write({
      [keys.groupMember('g1', 'p3')]: member('10.0.0.3'),
      [keys.groupMember('g1', 'p1')]: undefined,
    });
    const startedAt = Date.now();
    await bench.until(() => members(bench.last, 'g1')?.join() === '10.0.0.2,10.0.0.3');
    assert(Date.now() - startedAt < 2900, `${Date.now() - startedAt} ms`);
    assert(bench.snapshots.every((snapshot) => uids(snapshot).join() === 'w1' && snapshot.resources.has('r1')));
    await bench.write({ [keys.groupMember('g1', 'p2')]: undefined });
    await bench.until(() => members(bench.last, 'g1')?.join() === '10.0.0.3');
  });

  it('shows nothing of a wiped etcd until it was quiet for a while after being filled again', async () => {
    await using etcd = await Etcd.start();
    await using bench = new Bench(etcd);
    await bench.write(STATE);
    await bench.until(() => members(bench.last, 'g1')?.length === 2);
    bench.snapshots.length = 0;
    await bench.etcd.wipe();
    await bench.etcd.restart();
    await bench.until(() => bench.has(ANOTHER_STORE));
    await sleep(QUIET_MS + 300);
    assert.equal(bench.snapshots.length, 0, 'an empty etcd is no news');
    for (const [key, value] of Object.entries(STATE).toReversed()) {
      await bench.write({ [key]: value });
      await sleep(300);
    }
    assert.equal(bench.snapshots.length, 0, 'a half-filled etcd is no news');
    await bench.until(() => bench.last !== undefined);
    assert.deepEqual([uids(bench.last), members(bench.last, 'g1')], [['w1'], ['10.0.0.1', '10.0.0.2']]);
    assert(bench.has('etcd is filled again'));
    await bench.write({ [keys.groupMember('g1', 'p2')]: undefined });
    await bench.until(() => members(bench.last, 'g1')?.length === 1, 1000);
  });

  it('notices an etcd that is further on than before, and yet has this node’s keys anew', async () => {
    await using etcd = await Etcd.start();
    await using road = await Road.to(etcd);
    await using bench = new Bench(etcd, road.url);
    await bench.write(STATE);
    await bench.until(() => members(bench.last, 'g1')?.length === 2);
    bench.snapshots.length = 0;
    road.close();
    await bench.write({ [keys.workload(NODE, 'w1')]: undefined, [keys.groupMember('g1', 'p1')]: undefined });
    await bench.write({ [keys.workload(NODE, 'w1')]: STATE[keys.workload(NODE, 'w1')] });
    await road.open();
    await bench.until(() => bench.has(ANOTHER_STORE));
    await sleep(QUIET_MS / 2);
    assert.equal(bench.snapshots.length, 0);
    await bench.until(() => bench.has('etcd is filled again'));
    assert.deepEqual(members(bench.last, 'g1'), ['10.0.0.2']);
  });

  it('takes what was deleted while it was cut off as deleted, where the store is the same', async () => {
    await using etcd = await Etcd.start();
    await using road = await Road.to(etcd);
    await using bench = new Bench(etcd, road.url);
    await bench.write(STATE);
    await bench.until(() => members(bench.last, 'g1')?.length === 2);
    road.close();
    await bench.write({ [keys.groupMember('g1', 'p1')]: undefined });
    await road.open();
    await bench.until(() => members(bench.last, 'g1')?.join() === '10.0.0.2');
    assert(!bench.has(ANOTHER_STORE));
  });
});

/** A way to etcd that can be cut while etcd runs on. */
class Road implements AsyncDisposable {
  readonly #etcd: Etcd;
  readonly #connections = new Set<Socket>();
  #server: Server;
  #port = 0;

  private constructor(etcd: Etcd) {
    this.#etcd = etcd;
    this.#server = this.#serve();
  }

  static async to(etcd: Etcd): Promise<Road> {
    const road = new Road(etcd);
    await road.open();
    return road;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async open(): Promise<void> {
    this.#server = this.#serve().listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
  }

  close(): void {
    this.#server.close();
    for (const connection of this.#connections) connection.destroy();
    this.#connections.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.close();
    await closed;
  }

  #serve(): Server {
    return createServer((near) => {
      const far = createConnection(this.#etcd.port, '127.0.0.1');
      for (const connection of [near, far]) this.#connections.add(connection.on('error', () => connection.destroy()));
      near.pipe(far).pipe(near);
    });
  }
}
