import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decode, encode } from 'dns-packet';
import { pino } from 'pino';
import { lookUp } from './lookup.ts';
import { NameResolver, TIMING } from './resolver.ts';

/** Shorter than the agent's own times. */
const timing = { refresh: 5000, minRefresh: 500, settle: 300, lookup: 400 };
const ADDRESS = '127.0.0.1';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, ADDRESS);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

/** A real DNS server that serves what it is told. */
class Dnsmasq implements AsyncDisposable {
  readonly port: number;
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(options: readonly string[]): Promise<Dnsmasq> {
    const dnsmasq = new Dnsmasq(await freePort());
    await dnsmasq.serve(options);
    return dnsmasq;
  }

  /** In place of what it served before. */
  async serve(options: readonly string[]): Promise<void> {
    await this.stop();
    const fixed = ['--keep-in-foreground', `--port=${this.port}`, `--listen-address=${ADDRESS}`, '--bind-interfaces'];
    const alone = ['--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--pid-file', '--user=root', '--local=/test/'];
    const child = spawn('/usr/sbin/dnsmasq', [...fixed, ...alone, ...options], { stdio: 'ignore' });
    this.#child = child;
    await once(child, 'spawn');
    for (;;) {
      const answer = await lookUp({ address: ADDRESS, port: this.port }, 'ready.test', 'A');
      if (answer.kind !== 'failed' || !answer.reason.includes('ECONNREFUSED')) return;
      if (child.exitCode !== null) throw new Error(`dnsmasq ended with ${child.exitCode}`);
      await sleep(20);
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A name resolver, and what it tells. */
class Bench implements Disposable {
  readonly told: [name: string, addresses: readonly string[]][] = [];
  readonly problems = new Map<string, string | undefined>();
  readonly resolver: NameResolver;

  constructor(port: number, names: readonly string[]) {
    this.resolver = new NameResolver({
      resolver: { address: ADDRESS, port },
      log: pino({ level: 'silent' }),
      timing,
      onAddresses: (name, addresses) => this.told.push([name, addresses]),
      onSettled: () => undefined,
      onProblem: (name, problem) => this.problems.set(name, problem),
    });
    this.resolver.setNames(new Set(names));
  }

  async until(isReached: () => boolean, withinMs = 8000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!isReached()) {
      if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms; told ${JSON.stringify(this.told)}`);
      await sleep(5);
    }
  }

  [Symbol.dispose](): void {
    this.resolver[Symbol.dispose]();
  }
}

describe('the addresses of names', { concurrency: true, timeout: 30_000 }, () => {
  it('are those of both families, sorted, also behind aliases', async () => {
    await using dns = await Dnsmasq.start([
      ...['--host-record=both.test,192.0.2.2,2001:db8::2', '--host-record=both.test,192.0.2.1'],
      ...['--cname=alias.test,both.test', '--cname=far.test,alias.test'],
    ]);
    using bench = new Bench(dns.port, ['both.test', 'far.test']);
    await bench.until(() => bench.told.length === 2);
    const addresses = ['192.0.2.1', '192.0.2.2', '2001:db8::2'];
    assert.deepEqual(bench.told.toSorted(), [
      ['both.test', addresses],
      ['far.test', addresses],
    ]);
    assert(bench.resolver.isSettled('far.test'));
  });

  it('are told again only when they change, which is seen after the least TTL, or the least interval', async () => {
    await using dns = await Dnsmasq.start(['--host-record=a.test,192.0.2.1,1', '--host-record=same.test,192.0.2.9,0']);
    using bench = new Bench(dns.port, ['a.test', 'same.test']);
    await bench.until(() => bench.told.length === 2);
    const startedAt = Date.now();
    await dns.serve(['--host-record=a.test,192.0.2.2,1', '--host-record=same.test,192.0.2.8,0']);
    await bench.until(() => bench.told.length === 3);
    const leastMs = Date.now() - startedAt;
    assert.deepEqual(bench.told[2], ['same.test', ['192.0.2.8']]);
    await bench.until(() => bench.told.length === 4);
    const ttlMs = Date.now() - startedAt;
    assert.deepEqual(bench.told[3], ['a.test', ['192.0.2.2']]);
    assert(leastMs > 300 && ttlMs > 800, `${leastMs} ms, ${ttlMs} ms`);
    assert.deepEqual(TIMING, { refresh: 30_000, minRefresh: 5000, settle: 2000, lookup: 2000 });
  });

  it('stay the last ones where the name is gone or nobody answers, and it is said', async () => {
    await using dns = await Dnsmasq.start(['--host-record=a.test,192.0.2.1,0', '--host-record=b.test,192.0.2.2,0']);
    using bench = new Bench(dns.port, ['a.test', 'b.test']);
    await bench.until(() => bench.told.length === 2);
    await dns.serve(['--host-record=a.test,192.0.2.1,1']);
    await bench.until(() => bench.problems.get('b.test') !== undefined);
    assert.match(
      bench.problems.get('b.test') ?? '',
      /^b\.test was not looked up \(NXDOMAIN\): its last addresses stay$/,
    );
    assert.equal(bench.problems.get('a.test'), undefined);
    assert.equal(bench.told.length, 2);
    await dns.serve(['--host-record=b.test,192.0.2.3,1']);
    await bench.until(() => bench.told.length === 3);
    assert.deepEqual(bench.told[2], ['b.test', ['192.0.2.3']]);
    assert.equal(bench.problems.get('b.test'), undefined);
  });

  it('of a pattern are not looked up: they come from the answers that workloads get', async () => {
    using bench = new Bench(1, ['*.a.test']);
    assert(bench.resolver.isSettled('*.a.test'));
    assert.equal(bench.problems.get('*.a.test'), undefined);
  });

  it('settle after a while where nobody answers, and the lookup gives up the third time', async () => {
    const silent = createSocket('udp4');
    silent.bind(0, ADDRESS);
    await once(silent, 'listening');
    let asked = 0;
    silent.on('message', () => {
      asked += 1;
    });
    using bench = new Bench(silent.address().port, ['a.test']);
    await sleep(200);
    assert(!bench.resolver.isSettled('a.test'));
    await bench.until(() => bench.resolver.isSettled('a.test'), 300);
    await bench.until(() => bench.problems.get('a.test') !== undefined, 2000);
    assert.match(
      bench.problems.get('a.test') ?? '',
      /no answer from 127\.0\.0\.1, asked 3 times\): it has no addresses/,
    );
    assert.equal(asked, 6);
    silent.close();
  });

  it('that do not fit a datagram are asked for over TCP', async () => {
    const many = Array.from({ length: 100 }, (_, i) => `192.0.2.${i}`);
    await using dns = await Dnsmasq.start(many.map((ip) => `--host-record=many.test,${ip}`));
    const answer = await lookUp({ address: ADDRESS, port: dns.port }, 'many.test', 'A');
    assert(answer.kind === 'addresses');
    assert.deepEqual(answer.addresses, many.toSorted());
  });

  it('are not taken from an answer to another question', async () => {
    const forger = createSocket('udp4');
    forger.bind(0, ADDRESS);
    await once(forger, 'listening');
    forger.on('message', (datagram, from) => {
      const { id = 0, questions = [] } = decode(datagram);
      const answer = (change: object): Buffer => {
        const data = '203.0.113.66';
        const answers = [{ type: 'A' as const, name: 'a.test', ttl: 60, data }];
        return encode({ type: 'response', id, questions, answers, ...change });
      };
      const forged = [
        answer({ id: (id + 1) % 0x10000 }),
        answer({ type: 'query' }),
        answer({ questions: [{ type: 'A', name: 'b.test' }] }),
        answer({ questions: [] }),
        Buffer.from('not dns'),
      ];
      for (const bytes of forged) forger.send(bytes, from.port, from.address);
      const data = '192.0.2.1';
      const others = [{ type: 'A' as const, name: 'b.test', ttl: 60, data: '203.0.113.67' }];
      const answers = [...others, { type: 'A' as const, name: 'a.test', ttl: 60, data }];
      setTimeout(() => forger.send(answer({ answers }), from.port, from.address), 50);
    });
    const answer = await lookUp({ address: ADDRESS, port: forger.address().port }, 'a.test', 'A');
    assert.deepEqual(answer, { kind: 'addresses', addresses: ['192.0.2.1'], ttlSeconds: 60 });
    forger.close();
  });

  it('are not followed around a loop of aliases', async () => {
    const server = createSocket('udp4');
    server.bind(0, ADDRESS);
    await once(server, 'listening');
    server.on('message', (datagram, from) => {
      const { id = 0, questions = [] } = decode(datagram);
      const answers = [
        { type: 'CNAME' as const, name: 'a.test', ttl: 60, data: 'b.test' },
        { type: 'CNAME' as const, name: 'b.test', ttl: 60, data: 'a.test' },
      ];
      server.send(encode({ type: 'response', id, questions, answers }), from.port, from.address);
    });
    const answer = await lookUp({ address: ADDRESS, port: server.address().port }, 'a.test', 'A');
    assert.deepEqual(answer, { kind: 'failed', reason: 'more than 16 aliases' });
    server.close();
  });
});
