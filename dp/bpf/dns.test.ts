// What the kernel programs learn from DNS answers on their way to a workload, and what they must not.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { counter } from '../kernel/abi.gen.ts';
import { nowTicks, secondsUntil } from '../learning/learnt-addresses.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import {
  addressRecord,
  alias,
  EDNS,
  type Message,
  message,
  QUESTION,
  type Record,
  TYPE,
  wire,
} from './dns-messages.ts';
import { Harness, type Workload } from './harness.ts';
import { ip, udp } from './packets.ts';
import { rule } from './rules.ts';

const RESOLVER = '10.96.0.10';
const RESOLVER6 = 'fd96::a';
const DNS = 53;
const harness = new Harness();
after(() => harness[Symbol.dispose]());
harness.engine.carryOut({ name: 'ctrl_sys_conf', body: { resolvers: [RESOLVER, RESOLVER6] } });

let tests = 0;
/** Names and addresses that no other test has: what is learnt is everyone’s. */
function fresh() {
  tests += 1;
  const [n, zone] = [tests, `zone${tests}.example`];
  return { name: `host.${zone}`, zone, v4: (i = 1) => `198.18.${n}.${i}`, v6: (i = 1) => `2001:db8:${n}::${i}` };
}
const toName = (fqdn: string, more: Parameters<typeof rule>[0] = {}) =>
  rule({ peer: `fqdn:${fqdn}`, ports: 'tcp/443', ...more });
const dns = (resolver = RESOLVER) =>
  rule({ id: 900, peer: resolver, ports: 'udp/53', family: resolver.includes(':') ? 6 : 4 });

type Lookup = { workload: Workload; resolver: string; port: number; id: number; name: string; type: number };

/** The question, sent by the workload. */
function ask(workload: Workload, name: string, more: Partial<Lookup> = {}): Lookup {
  const defaults = { resolver: RESOLVER, port: workload.nextClientPort(), id: 4711, type: TYPE.a };
  const lookup = { workload, name, ...defaults, ...more };
  const { resolver, port, id, type } = lookup;
  const datagram = udp({ sourcePort: port, destinationPort: DNS }, message({ id, name, type }));
  assert.equal(workload.send(ip(workload.ends(resolver, 'out'), PROTOCOL.udp, datagram)), 'pass');
  return lookup;
}

/** An answer to it; `more` is what differs from an honest one. */
function answer(lookup: Lookup, answers: readonly Record[], more: Partial<Message> & Partial<Lookup> = {}): void {
  const { workload, resolver, port, ...rest } = { ...lookup, ...more };
  const bytes = message({ kind: 'answer', answers, ...rest });
  reply({ ...lookup, resolver, port }, bytes);
}

function reply({ workload, resolver, port }: Lookup, bytes: Uint8Array, sourcePort = DNS): void {
  const datagram = udp({ sourcePort, destinationPort: port }, bytes);
  workload.receive(ip(workload.ends(resolver, 'in'), PROTOCOL.udp, datagram));
}

const opens = (workload: Workload, address: string): string => workload.connectionTo(address, 443).open();
const policed = (...names: string[]): Workload =>
  harness.workload({ rules: [dns(), ...names.map((name, i) => toName(name, { id: 1001 + i }))] });
const learnt = (address: string) => harness.engine.learnt.all().filter((one) => one.address === address);

describe('an answer to the workload’s own question', () => {
  it('opens its addresses, and no others, before the workload sends anything more', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    assert.equal(opens(workload, v4()), 'drop');
    answer(ask(workload, name), [addressRecord(v4(1)), addressRecord(v4(2))]);
    assert.deepEqual(
      [1, 2, 3].map((i) => opens(workload, v4(i))),
      ['pass', 'pass', 'drop'],
    );
  });
  it('opens its address also to a retry from the port that was refused before', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    const connection = workload.connectionTo(v4(), 443);
    assert.equal(connection.open(), 'drop');
    answer(ask(workload, name), [addressRecord(v4())]);
    assert.equal(connection.open(), 'pass');
  });
  it('of IPv6, from a resolver over IPv6, opens IPv6 addresses', () => {
    const { name, v6 } = fresh();
    const workload = harness.workload({ rules: [dns(RESOLVER6), toName(name, { family: 6, id: 1001 })] });
    answer(ask(workload, name, { resolver: RESOLVER6, type: TYPE.aaaa }), [addressRecord(v6())]);
    assert.deepEqual(
      [1, 2].map((i) => opens(workload, v6(i))),
      ['pass', 'drop'],
    );
  });
  it('counts where A and AAAA are asked for at once from one port, in any order', () => {
    const { name, v4, v6 } = fresh();
    const both = [dns(), toName(name, { id: 1001 }), toName(name, { family: 6, id: 1002 })];
    const workload = harness.workload({ rules: both });
    const a = ask(workload, name, { id: 1 });
    const aaaa = ask(workload, name, { id: 2, port: a.port, type: TYPE.aaaa });
    answer(aaaa, [addressRecord(v6())]);
    answer(a, [addressRecord(v4())]);
    assert.deepEqual([opens(workload, v4()), opens(workload, v6())], ['pass', 'pass']);
  });
  it('is read whatever its letters are, with EDNS, and through other records', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    const lookup = ask(workload, name.toUpperCase());
    const text = { owner: QUESTION, type: TYPE.txt, data: Buffer.from('\x03abc') };
    answer(lookup, [text, addressRecord(v4())], { additionals: [EDNS] });
    assert.equal(opens(workload, v4()), 'pass');
  });
  it('follows a chain of aliases, compressed or not', () => {
    const { name, zone, v4 } = fresh();
    const workload = policed(name);
    const chain = [alias(QUESTION, `a.${zone}`), alias(`a.${zone}`, `b.${zone}`), addressRecord(v4(), `B.${zone}`)];
    answer(ask(workload, name), chain);
    assert.equal(opens(workload, v4()), 'pass');
    const first = 12 + wire(name).length + 4;
    const target = { pointer: first + 2 + 10 };
    answer(ask(workload, name), [alias(QUESTION, `a.${zone}`), addressRecord(v4(2), target)]);
    assert.equal(opens(workload, v4(2)), 'pass');
  });
  it('teaches nothing by an address before the alias that leads to it, or of a name that none leads to', () => {
    const { name, zone, v4 } = fresh();
    const workload = policed(name);
    answer(ask(workload, name), [
      addressRecord(v4(1), `b.${zone}`),
      alias(QUESTION, `b.${zone}`),
      addressRecord(v4(2), `c.${zone}`),
      addressRecord(v4(3), `b.${zone}`),
    ]);
    assert.deepEqual(
      [1, 2, 3].map((i) => opens(workload, v4(i))),
      ['drop', 'drop', 'pass'],
    );
  });
  it('is read to its end with 20 records of long, uncompressed names', () => {
    const { zone, v4 } = fresh();
    const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.${zone}`;
    const workload = policed(name);
    answer(
      ask(workload, name),
      Array.from({ length: 20 }, (_, i) => addressRecord(v4(i + 1), name)),
    );
    assert.equal(opens(workload, v4(20)), 'pass');
  });
});

describe('a pattern', () => {
  const cases = [
    { says: 'has a label below it', prefix: 'a.', verdict: 'pass' },
    { says: 'has several labels below it', prefix: 'a.b.c.', verdict: 'pass' },
    { says: 'has not the name itself', prefix: '', verdict: 'drop' },
    { says: 'has not a name that ends alike', prefix: 'not', verdict: 'drop' },
  ];
  for (const { says, prefix, verdict } of cases)
    it(says, () => {
      const { zone, v4 } = fresh();
      const workload = policed(`*.${zone}`);
      answer(ask(workload, `${prefix}${zone}`), [addressRecord(v4())]);
      assert.equal(opens(workload, v4()), verdict);
    });
});

describe('an address that was learnt', () => {
  it('serves every workload whose rules have the name, and no other', () => {
    const { name, zone, v4 } = fresh();
    const [asked, same, other] = [policed(name), policed(`*.${zone}`, name), policed(`other.${zone}`)];
    answer(ask(asked, name), [addressRecord(v4())]);
    assert.deepEqual(
      [asked, same, other].map((one) => opens(one, v4())),
      ['pass', 'pass', 'drop'],
    );
  });
  it('of two names satisfies a rule for either', () => {
    const { zone, v4 } = fresh();
    const [one, two] = [policed(`one.${zone}`), policed(`two.${zone}`)];
    answer(ask(one, `one.${zone}`), [addressRecord(v4())]);
    answer(ask(two, `two.${zone}`), [addressRecord(v4())]);
    assert.deepEqual(
      [one, two].map((workload) => opens(workload, v4())),
      ['pass', 'pass'],
    );
  });
  it('may have 256 names', () => {
    const { zone, v4 } = fresh();
    const names = Array.from({ length: 256 }, (_, i) => `n${i}.${zone}`);
    const workload = policed(...names);
    for (const name of names) answer(ask(workload, name), [addressRecord(v4())]);
    assert.equal(learnt(v4()).length, 256);
    assert.equal(opens(policed(names.at(-1) ?? ''), v4()), 'pass');
  });
  it('counts beside those that dp was told of, whatever it is told', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    answer(ask(workload, name), [addressRecord(v4(1))]);
    harness.setName(name, [v4(2)]);
    harness.setName(name, []);
    assert.deepEqual(
      [1, 2].map((i) => opens(workload, v4(i))),
      ['pass', 'drop'],
    );
  });
  it('lives for its TTL and the least of its chain, a minute at least and a day at most', () => {
    const { name, zone, v4 } = fresh();
    const workload = policed(name);
    answer(ask(workload, name), [
      addressRecord(v4(1), QUESTION, 1),
      addressRecord(v4(2), QUESTION, 2 ** 31 - 1),
      addressRecord(v4(3), QUESTION, 2 ** 31 + 5),
      alias(QUESTION, `a.${zone}`, 600),
      addressRecord(v4(4), `a.${zone}`, 1000),
    ]);
    const seconds = [1, 2, 3, 4].map((i) => secondsUntil(learnt(v4(i))[0]?.end ?? 0, nowTicks()));
    const wanted = [60, 86400, 60, 600];
    for (const [i, found] of seconds.entries()) assert.ok(Math.abs(found - (wanted[i] ?? 0)) <= 4, `${seconds}`);
  });
});

describe('nothing is learnt from an answer', () => {
  const forgeries: { says: string; forge: (lookup: Lookup, records: readonly Record[], zone: string) => void }[] = [
    { says: 'with another number', forge: (asked, records) => answer(asked, records, { id: asked.id + 1 }) },
    { says: 'to another question', forge: (asked, records, zone) => answer(asked, records, { name: `evil.${zone}` }) },
    { says: 'to another type', forge: (asked, records) => answer(asked, records, { type: TYPE.aaaa }) },
    { says: 'from somebody else', forge: (asked, records) => answer(asked, records, { resolver: '10.96.0.11' }) },
    { says: 'to another port', forge: (asked, records) => answer(asked, records, { port: asked.port + 1000 }) },
    {
      says: 'from another port of the resolver',
      forge: (asked, records) => reply(asked, message({ kind: 'answer', answers: records, ...asked }), 5353),
    },
    { says: 'that is a question', forge: (asked, records) => answer(asked, records, { kind: 'query' }) },
    {
      says: 'that says there is no such name',
      forge: (asked, records) => answer(asked, records, { kind: 'nameError' }),
    },
    {
      says: 'whose record is of another class',
      forge: (asked, records) =>
        answer(
          asked,
          records.map((record) => ({ ...record, class: 3 })),
        ),
    },
  ];
  for (const { says, forge } of forgeries)
    it(says, () => {
      const { zone, v4 } = fresh();
      const workload = policed(`*.${zone}`);
      forge(ask(workload, `a.${zone}`), [addressRecord(v4())], zone);
      assert.deepEqual([learnt(v4()), opens(workload, v4())], [[], 'drop']);
    });
  it('that nobody asked for', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    answer({ workload, name, resolver: RESOLVER, port: 33333, id: 1, type: TYPE.a }, [addressRecord(v4())]);
    assert.deepEqual([learnt(v4()), opens(workload, v4())], [[], 'drop']);
  });
  it('that another workload asked for', () => {
    const { name, v4 } = fresh();
    const [workload, other] = [policed(name), policed(name)];
    const asked = ask(other, name);
    answer({ ...asked, workload }, [addressRecord(v4())]);
    assert.deepEqual(learnt(v4()), []);
  });
  it('that comes a second time with other addresses', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    const asked = ask(workload, name);
    answer(asked, [addressRecord(v4(1))]);
    answer(asked, [addressRecord(v4(2))]);
    assert.deepEqual(
      [1, 2].map((i) => opens(workload, v4(i))),
      ['pass', 'drop'],
    );
  });
  it('of a server that dp is no longer told of', () => {
    const { name, v4 } = fresh();
    const server = '10.96.0.77';
    const workload = harness.workload({ rules: [dns(server), toName(name, { id: 1001 })] });
    answer(ask(workload, name, { resolver: server }), [addressRecord(v4())]);
    assert.deepEqual(learnt(v4()), []);
  });
  it('where the workload’s rules name no host', () => {
    const { name, v4 } = fresh();
    policed(name);
    const unnamed = harness.workload({ rules: [dns()] });
    answer(ask(unnamed, name), [addressRecord(v4())]);
    assert.deepEqual(learnt(v4()), []);
  });
  it('whose question the policy has denied', () => {
    const { name, v4 } = fresh();
    const workload = harness.workload({ rules: [toName(name, { id: 1001 })] });
    const port = workload.nextClientPort();
    const datagram = udp({ sourcePort: port, destinationPort: DNS }, message({ id: 7, name }));
    assert.equal(workload.send(ip(workload.ends(RESOLVER, 'out'), PROTOCOL.udp, datagram)), 'drop');
    answer({ workload, name, resolver: RESOLVER, port, id: 7, type: TYPE.a }, [addressRecord(v4())]);
    assert.deepEqual(learnt(v4()), []);
  });
});

describe('what can’t be read', () => {
  const cut = () => harness.datapath.counter(counter.answersCut);
  it('ends an answer: the records before it count, and it is counted', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    const before = cut();
    const asked = ask(workload, name);
    const bytes = message({ kind: 'answer', answers: [addressRecord(v4(1)), addressRecord(v4(2))], ...asked });
    reply(asked, bytes.subarray(0, -1));
    assert.deepEqual(
      [1, 2].map((i) => opens(workload, v4(i))),
      ['pass', 'drop'],
    );
    assert.equal(cut(), before + 1n);
  });
  it('includes a truncated answer, which the workload asks for again by TCP', () => {
    const { name } = fresh();
    const workload = policed(name);
    const before = cut();
    answer(ask(workload, name), [], { kind: 'truncated' });
    assert.equal(cut(), before + 1n);
  });
  it('includes pointers that loop, point ahead or to themselves, and labels of unknown kinds', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    const first = 12 + wire(name).length + 4;
    for (const pointer of [first, first + 2, 0x3fff]) {
      answer(ask(workload, name), [addressRecord(v4(), { pointer })]);
      assert.deepEqual(learnt(v4()), []);
    }
    const asked = ask(workload, name);
    const bytes = message({ kind: 'answer', answers: [addressRecord(v4())], ...asked });
    bytes[first] = 0x80;
    reply(asked, bytes);
    assert.deepEqual(learnt(v4()), []);
  });
  it('never disturbs a later answer', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    for (let bytes = 0; bytes < 60; bytes += 1) {
      const asked = ask(workload, name, { id: bytes });
      reply(asked, message({ kind: 'answer', answers: [addressRecord(v4(9))], ...asked }).subarray(0, bytes));
    }
    answer(ask(workload, name), [addressRecord(v4(1))]);
    assert.equal(opens(workload, v4(1)), 'pass');
  });
});

describe('in the kernel’s table', () => {
  it('an address goes ten minutes after its end, and one that flows use is kept beyond its TTL', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    answer(ask(workload, name), [addressRecord(v4(1)), addressRecord(v4(2))]);
    const [used] = learnt(v4(1));
    assert.ok(used);
    const connection = workload.connectionTo(v4(1), 443).establish();
    const flow = connection.flow;
    assert.equal(flow?.name, used.name);
    const [entry] = harness.datapath.learntAddresses.entries().filter(([, { slots }]) => Number(slots[0]) > 0);
    assert.ok(entry);
    const use = {
      address: { high: 0n, low: 0xffff_0000_0000n + BigInt(0xc6120000 + tests * 256 + 1) },
      name: used.name,
    };
    harness.engine.learnt.keep([use], used.end - 1);
    const [kept] = learnt(v4(1));
    assert.deepEqual([kept?.end, kept?.isKept], [used.end - 1 + 56, true]);
    const later = used.end + 600;
    const before = harness.datapath.learntAddresses.entries().length;
    assert.ok(harness.engine.learnt.sweep(later) > 0);
    assert.deepEqual([learnt(v4(1)).length, learnt(v4(2)).length], [1, 0]);
    assert.ok(harness.datapath.learntAddresses.entries().length < before);
    assert.equal(connection.say('client', 'hello'), 'pass');
  });
  it('an address whose time is over opens nothing new', () => {
    const { name, v4 } = fresh();
    const workload = policed(name);
    answer(ask(workload, name), [addressRecord(v4())]);
    const [{ name: id } = { name: 0 }] = learnt(v4());
    const address = { high: 0n, low: 0xffff_0000_0000n + BigInt(0xc6120000 + tests * 256 + 1) };
    harness.datapath.learntAddresses.set(
      { address, block: 0 },
      { slots: [(BigInt(id) << 32n) | BigInt(nowTicks() - 1), ...Array<bigint>(7).fill(0n)] },
    );
    assert.equal(opens(workload, v4()), 'drop');
    answer(ask(workload, name), [addressRecord(v4())]);
    assert.equal(opens(workload, v4()), 'pass');
  });
});

describe('a rule that denies a name', () => {
  it('denies what was learnt of it', () => {
    const { name, v4 } = fresh();
    const rules = [dns(), toName(name, { id: 1001, action: ACTION.deny }), rule({ id: 1002 })];
    const workload = harness.workload({ rules });
    answer(ask(workload, name), [addressRecord(v4())]);
    assert.deepEqual(
      [1, 2].map((i) => opens(workload, v4(i))),
      ['drop', 'pass'],
    );
  });
});
