// The shared part of metrics: what is served over HTTP, from a table of metrics and a function that reads their values.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { freePort } from '@podwall/e2e/etcd.ts';
import { hostOf, parseMetricsAddress } from './address.ts';
import { type Definitions, type Readings, samples } from './definition.ts';
import { Distribution } from './distribution.ts';
import { MetricsError } from './errors.ts';
import { scrape } from './scrape.ts';
import { MetricsServer } from './server.ts';

const METRICS = {
  podwall_test_lives_total: { type: 'counter', help: 'Lives "so far" \\ in all.' },
  podwall_test_cats: { type: 'gauge', help: 'Cats.', labels: { colour: ['black', 'white'] } },
  podwall_test_leap_seconds: { type: 'histogram', help: 'Leaps.', bounds: [0.1, 1] },
} as const satisfies Definitions;

const leaps = new Distribution(METRICS.podwall_test_leap_seconds.bounds);
for (const seconds of [0.1, 0.5, 1, 7]) leaps.add(seconds);

/** With what can change while it is served. */
class Cat {
  lives = 9;
  readonly errors: unknown[] = [];
  lacks: string[] = [];

  read(): Readings<typeof METRICS> {
    if (this.lives < 0) throw new RangeError('no lives left');
    return {
      podwall_test_lives_total: this.lives,
      podwall_test_cats: samples('colour', { black: 1, white: 2 }),
      podwall_test_leap_seconds: leaps,
    };
  }
}

async function serve(cat: Cat) {
  const at = { address: '127.0.0.1', port: await freePort() };
  const server = await MetricsServer.listen(at, {
    definitions: METRICS,
    read: () => cat.read(),
    lacks: () => cat.lacks,
    onError: (error) => cat.errors.push(error),
  });
  const get = (path: string, init?: RequestInit) => fetch(`http://${hostOf(at)}${path}`, init);
  return { at, get, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

describe('what is served', () => {
  it('has every metric with its help, type and value at the moment of the scrape', async () => {
    const cat = new Cat();
    await using served = await serve(cat);
    const first = await served.get('/metrics');
    assert.equal(first.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    const body = await first.text();
    for (const line of [
      '# HELP podwall_test_lives_total Lives "so far" \\\\ in all.',
      '# TYPE podwall_test_lives_total counter',
      'podwall_test_lives_total 9',
      'podwall_test_cats{colour="black"} 1',
      'podwall_test_cats{colour="white"} 2',
      '# TYPE podwall_test_leap_seconds histogram',
      'podwall_test_leap_seconds_bucket{le="0.1"} 1',
      'podwall_test_leap_seconds_bucket{le="1"} 3',
      'podwall_test_leap_seconds_bucket{le="+Inf"} 4',
      'podwall_test_leap_seconds_sum 8.6',
      'podwall_test_leap_seconds_count 4',
    ])
      assert.ok(body.split('\n').includes(line), `${line} is not in:\n${body}`);
    cat.lives = 8;
    const second = await scrape(served.at);
    assert.equal(second.value('podwall_test_lives_total'), 8);
    const ageSeconds = Date.now() / 1000 - second.value('process_start_time_seconds');
    assert.ok(ageSeconds > 0 && ageSeconds < 3600, `${ageSeconds} s`);
    assert.ok(second.value('process_resident_memory_bytes') > 1e7);
    assert.ok(second.value('process_cpu_seconds_total') > 0);
  });

  it('says that the process lives, and what it lacks to be ready', async () => {
    const cat = new Cat();
    await using served = await serve(cat);
    const answers = async (path: string) => {
      const response = await served.get(path);
      return [response.status, await response.text()];
    };
    assert.deepEqual(await answers('/healthz'), [200, 'ok\n']);
    assert.deepEqual(await answers('/readyz'), [200, 'ok\n']);
    cat.lacks = ['milk', 'a mouse'];
    assert.deepEqual(await answers('/readyz'), [503, 'milk\na mouse\n']);
    assert.deepEqual(await answers('/healthz'), [200, 'ok\n']);
  });

  it('is three paths, to GET', async () => {
    await using served = await serve(new Cat());
    for (const path of ['/', '/metric', '/metrics/', '/metrics/../healthz/x'])
      assert.equal((await served.get(path)).status, 404, path);
    assert.equal((await served.get('/metrics?x=1')).status, 200);
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
      const response = await served.get('/metrics', { method });
      assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET'], method);
    }
  });

  it('is an error where the values can’t be read, and the next time they are', async () => {
    const cat = new Cat();
    await using served = await serve(cat);
    cat.lives = -1;
    assert.equal((await served.get('/metrics')).status, 500);
    assert.deepEqual(cat.errors.map(String), ['RangeError: no lives left']);
    cat.lives = 1;
    assert.equal((await served.get('/metrics')).status, 200);
  });

  it('ends with the server, also where somebody keeps a connection', async () => {
    const served = await serve(new Cat());
    const keeper = connect(served.at.port, served.at.address);
    await once(keeper, 'connect');
    keeper.write('GET /metrics HTTP/1.1\r\n');
    const lost = once(keeper, 'close');
    await served.get('/healthz').then((response) => response.text());
    await served.server[Symbol.asyncDispose]();
    await lost;
    await assert.rejects(served.get('/healthz'));
  });
});

describe('an address', () => {
  it('that another process listens on is refused with a word on what to do', async () => {
    await using other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    assert.ok(address && typeof address === 'object');
    const nothing = { definitions: {}, read: () => ({}), lacks: () => [], onError: () => assert.fail() };
    await assert.rejects(
      MetricsServer.listen({ address: '127.0.0.1', port: address.port }, nothing),
      (error) =>
        error instanceof MetricsError &&
        error.code === 'ADDRESS_TAKEN' &&
        error.message === `--metrics 127.0.0.1:${address.port}: another process listens there: give another port`,
    );
    await assert.rejects(
      MetricsServer.listen({ address: '192.0.2.1', port: 9470 }, nothing),
      (error) => error instanceof MetricsError && error.code === 'ADDRESS_UNUSABLE',
    );
  });

  const read: [string, string | undefined][] = [
    ['9470', '127.0.0.1:9470'],
    ['10.0.0.1:9470', '10.0.0.1:9470'],
    ['0.0.0.0:1', '0.0.0.0:1'],
    ['[::]:9470', '[::]:9470'],
    ['2001:db8::1:9470', '[2001:db8::1]:9470'],
    ['0', undefined],
    ['65536', undefined],
    ['', undefined],
    ['localhost:9470', undefined],
    ['10.0.0.1', undefined],
    [':9470', undefined],
    ['::1', undefined],
    ['10.0.0.1:', undefined],
    ['1e3', undefined],
  ];
  for (const [said, meant] of read)
    it(`${said || '(nothing)'} is ${meant ?? 'refused'}`, () => {
      const address = parseMetricsAddress(said);
      assert.equal(address && hostOf(address), meant);
    });
});
