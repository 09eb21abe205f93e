import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Etcd } from '@podwall/e2e/etcd.ts';
import { pino } from 'pino';
import { EtcdSession } from '../store/session.ts';
import { Store } from '../store/store.ts';
import { ReportWriter } from './writer.ts';

const PREFIX = '/podwall/v1/reports/n1/';

async function read(etcd: Etcd): Promise<Record<string, unknown>> {
  using session = new EtcdSession({ url: etcd.url });
  const { entries } = await session.list({ key: PREFIX, isPrefix: true });
  return Object.fromEntries(entries.map(({ key, text }) => [key.slice(PREFIX.length), JSON.parse(text)]));
}

async function until(etcd: Etcd, expected: Record<string, unknown>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const now = await read(etcd).catch(() => undefined); // while etcd is away
    if (JSON.stringify(now) === JSON.stringify(expected)) return;
    await sleep(50);
  }
  assert.deepEqual(await read(etcd), expected);
}

const follow = (etcd: Etcd, writer: ReportWriter): Store =>
  new Store({ url: etcd.url }, pino({ level: 'silent' }), [(session) => writer.follow(session)]);

describe('reports in etcd', { concurrency: true, timeout: 30_000 }, () => {
  it('are what was set last, each written at most once a second', async () => {
    await using etcd = await Etcd.start();
    const writer = new ReportWriter(PREFIX, () => undefined);
    await using _ = follow(etcd, writer);
    writer.set(`${PREFIX}a`, { n: 0 });
    await until(etcd, { a: { n: 0 } });
    const { revision: before } = await historyOf(etcd);
    for (let n = 1; n <= 50; n += 1) {
      writer.set(`${PREFIX}a`, { n });
      await sleep(10);
    }
    await until(etcd, { a: { n: 50 } });
    const { revision: after } = await historyOf(etcd);
    assert(after - before <= 3n, `${after - before} writes`);
    writer.set(`${PREFIX}a`, undefined);
    await until(etcd, {});
  });

  it('are all written again to an etcd that was wiped, and to one where the lease is lost', async () => {
    await using etcd = await Etcd.start();
    const writer = new ReportWriter(PREFIX, () => undefined);
    await using _ = follow(etcd, writer);
    writer.set(`${PREFIX}a`, { n: 1 });
    writer.set(`${PREFIX}b`, { n: 2 });
    await until(etcd, { a: { n: 1 }, b: { n: 2 } });
    await etcd.wipe();
    await etcd.restart();
    await until(etcd, { a: { n: 1 }, b: { n: 2 } });
  });

  it('go at once when the agent closes, and are taken over once by the next one', async () => {
    await using etcd = await Etcd.start();
    using crashed = new EtcdSession({ url: etcd.url });
    await crashed.put(`${PREFIX}hits/r1`, '{"left":1}');
    const taken: string[] = [];
    const writer = new ReportWriter(PREFIX, (entries) => taken.push(...entries.map(({ key, text }) => key + text)));
    await using _ = follow(etcd, writer);
    writer.set(`${PREFIX}hits/r1`, { own: 1 });
    await until(etcd, { 'hits/r1': { own: 1 } });
    await etcd.restart();
    writer.set(`${PREFIX}hits/r1`, { own: 2 });
    await until(etcd, { 'hits/r1': { own: 2 } });
    assert.deepEqual(taken, [`${PREFIX}hits/r1{"left":1}`]);
    await writer.close();
    assert.deepEqual(await read(etcd), {});
  });

  it('outlive an agent that was killed by no more than the lease', async () => {
    await using etcd = await Etcd.start();
    using session = new EtcdSession({ url: etcd.url });
    await session.grantLease(1);
    await session.put(`${PREFIX}a`, '{"n":1}');
    await sleep(2500);
    assert.deepEqual(await read(etcd), { a: { n: 1 } }, 'the lease is kept alive');
    session[Symbol.dispose]();
    await sleep(2500);
    assert.deepEqual(await read(etcd), {});
  });
});

async function historyOf(etcd: Etcd): Promise<{ revision: bigint }> {
  using session = new EtcdSession({ url: etcd.url });
  return (await session.list({ key: PREFIX, isPrefix: true })).history;
}
