import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { WorkloadLinks } from './links.ts';
import { NamespaceFile, NamespaceFileError, parseNamespaceFile } from './netns-file.ts';
import type { Place } from './source.ts';

const NAMESPACE = `podwall-test-${process.pid}`;
const HOST_SIDE = `pwt${process.pid}`;
const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });
const inside = (...args: readonly string[]): string => ip('-n', NAMESPACE, ...args);
const entry = { namespace: 'shop', name: 'checkout', netns: { path: `/run/netns/${NAMESPACE}` }, interface: 'eth0' };

async function until(isReached: () => boolean, withinMs = 3000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!isReached()) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms`);
    await sleep(5);
  }
}

function removeNamespace(): void {
  if (ip('netns', 'list').includes(NAMESPACE)) ip('netns', 'del', NAMESPACE);
}

describe('the interface of a workload', { timeout: 20_000 }, () => {
  after(removeNamespace);

  it('is awaited, found with its addresses and its other end, followed, and missed once it is gone', async () => {
    using links = new WorkloadLinks(pino({ level: 'silent' }), () => undefined);
    links.setPlaces([entry]);
    assert.deepEqual(links.workloads(), []);
    ip('netns', 'add', NAMESPACE);
    await sleep(150);
    assert.deepEqual([links.workloads(), links.problems()], [[], []]);

    ip('link', 'add', HOST_SIDE, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NAMESPACE);
    inside('link', 'set', 'eth0', 'address', '02:00:00:00:00:07');
    await until(() => links.workloads()[0]?.link.mac === '02:00:00:00:00:07');
    const index = Number(ip('-o', 'link', 'show', HOST_SIDE).split(':')[0]);
    assert.deepEqual(links.workloads()[0]?.link.hostInterface, { name: HOST_SIDE, index });

    inside('addr', 'add', '10.9.9.2/24', 'dev', 'eth0');
    inside('addr', 'add', '2001:db8::2/64', 'dev', 'eth0', 'nodad');
    await until(() => links.workloads()[0]?.link.ips.length === 2);
    assert.deepEqual(links.workloads()[0]?.link.ips, ['10.9.9.2', '2001:db8::2']);

    ip('link', 'del', HOST_SIDE);
    await until(() => links.workloads().length === 0);
  });

  it('whose other end is not on the node can not be policed, in words', async () => {
    removeNamespace();
    ip('netns', 'add', NAMESPACE);
    inside('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1');
    using links = new WorkloadLinks(pino({ level: 'silent' }), () => undefined);
    links.setPlaces([entry]);
    assert.deepEqual(links.workloads(), []);
    assert.match(links.problems().join(), /^shop\/checkout: NO_HOST_SIDE: eth0 is veth/);
  });

  it('stays what it was while it can not be read', async () => {
    removeNamespace();
    ip('netns', 'add', NAMESPACE);
    ip('link', 'add', HOST_SIDE, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NAMESPACE);
    const folder = mkdtempSync(join(tmpdir(), 'podwall-test-links-'));
    const link = join(folder, 'netns');
    symlinkSync(entry.netns.path, link);
    using links = new WorkloadLinks(pino({ level: 'silent' }), () => undefined);
    links.setPlaces([{ ...entry, netns: { path: link } }]);
    const before = links.workloads();
    assert.equal(before.length, 1);
    rmSync(link);
    symlinkSync(link, link);
    await until(() => links.problems().length === 1);
    assert.match(links.problems().join(), /^shop\/checkout: Error: ELOOP/);
    assert.deepEqual(links.workloads(), before);
    rmSync(link);
    symlinkSync(entry.netns.path, link);
    await until(() => links.problems().length === 0);
    rmSync(folder, { recursive: true });
  });

  it('ends with its entry', () => {
    removeNamespace();
    ip('netns', 'add', NAMESPACE);
    ip('link', 'add', HOST_SIDE, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NAMESPACE);
    let changes = 0;
    using links = new WorkloadLinks(pino({ level: 'silent' }), () => {
      changes += 1;
    });
    links.setPlaces([{ ...entry, uid: 'u1' }]);
    assert.deepEqual(
      links.workloads().map(({ uid }) => uid),
      ['u1'],
    );
    links.setPlaces([]);
    assert.deepEqual([links.workloads(), changes], [[], 2]);
  });
});

describe('a file of network namespaces', { timeout: 20_000 }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'podwall-test-file-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('is YAML or JSON, with eth0 where no interface is named', () => {
    const yaml = '- {namespace: shop, name: checkout, netns: /run/netns/x}\n';
    const expected = [{ namespace: 'shop', name: 'checkout', netns: '/run/netns/x', interface: 'eth0' }];
    assert.deepEqual(parseNamespaceFile(yaml), expected);
    assert.deepEqual(parseNamespaceFile(JSON.stringify(expected)), expected);
    assert.deepEqual(parseNamespaceFile(''), []);
  });

  const bad = [
    ['{', /^not YAML/],
    ['a: b: \u001b[2J', /^not YAML: Nested mappings are not allowed in compact mappings at line 1, column 4$/],
    ['a: 1', /^the list must be array/],
    ['- {namespace: shop, name: a}', /^\/0 must have required property 'netns'/],
    ['- {namespace: shop, name: a, netns: x}', /^\/0\/netns must match pattern/],
    ['- {namespace: shop, name: a, netns: /x, color: red}', /additional properties/],
    ['- {namespace: s, name: a, netns: /x}\n- {namespace: s, name: a, netns: /y}', /^s\/a is there twice/],
  ] as const;
  for (const [text, message] of bad)
    it(`is refused as ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseNamespaceFile(text),
        (error) => error instanceof NamespaceFileError && message.test(error.message),
      );
    });

  it('is read again when it changes or is replaced, and a bad one changes nothing', async () => {
    const path = join(folder, 'workloads.yaml');
    const names: string[] = [];
    let problem: string | undefined;
    const listener = {
      setPlaces: (places: readonly Place[]) => void names.push(places.map(({ name }) => name).join()),
      setProblem: (_topic: string, text: string | undefined) => {
        problem = text;
      },
    };
    await using _ = new NamespaceFile(path, listener, pino({ level: 'silent' }));
    await until(() => problem?.includes('ENOENT') ?? false);
    writeFileSync(path, '- {namespace: s, name: a, netns: /x}');
    await until(() => names.at(-1) === 'a');
    assert.equal(problem, undefined);
    writeFileSync(path, '- {namespace: s, name: b}');
    await until(() => problem !== undefined);
    writeFileSync(join(folder, 'new'), '- {namespace: s, name: c, netns: /x}');
    renameSync(join(folder, 'new'), path);
    await until(() => names.at(-1) === 'c');
    assert.deepEqual([names, problem], [['a', 'c'], undefined]);
  });
});
