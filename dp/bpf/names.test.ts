// Rules that name hosts: by the addresses that dp was told a name has.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import { Harness } from './harness.ts';
import { ip, udp } from './packets.ts';
import { firstPayload } from './payloads.ts';
import { rule } from './rules.ts';

const harness = new Harness();
after(() => harness[Symbol.dispose]());

/** Each test has names and addresses of its own: the tables are everyone’s. */
let tests = 0;
function fresh() {
  tests += 1;
  const address = (n: number) => `192.0.${tests}.${n}`;
  return { name: `host${tests}.example.com`, zone: `zone${tests}.example`, address };
}
const toName = (fqdn: string, more: Parameters<typeof rule>[0] = {}) =>
  rule({ peer: `fqdn:${fqdn}`, ports: 'tcp/443', ...more });

describe('a rule for a name', () => {
  it('lets through to every address of the name, and to no other', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1), address(2)]);
    const workload = harness.workload({ rules: [toName(name)] });
    const verdicts = [1, 2, 3].map((n) => workload.connectionTo(address(n), 443).open());
    assert.deepEqual(verdicts, ['pass', 'pass', 'drop']);
  });
  it('has its ports and its direction like any other', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const workload = harness.workload({ rules: [toName(name)] });
    assert.equal(workload.connectionTo(address(1), 80).open(), 'drop');
    assert.equal(workload.connectionFrom(address(1), 443).open(), 'drop');
  });
  it('matches nothing while the name has no address', () => {
    const { name, address } = fresh();
    const workload = harness.workload({ rules: [toName(name)] });
    assert.equal(workload.connectionTo(address(1), 443).open(), 'drop');
    assert.equal(workload.connectionTo('0.0.0.0', 443).open(), 'drop');
  });
  it('matches from the moment that the name has the address', () => {
    const { name, address } = fresh();
    const workload = harness.workload({ rules: [toName(name)] });
    const connection = workload.connectionTo(address(1), 443);
    assert.equal(connection.open(), 'drop');
    harness.setName(name, [address(1)]);
    assert.equal(connection.open(), 'pass');
  });
  it('is the same in capitals and with a final dot', () => {
    const { name, address } = fresh();
    harness.setName(`${name.toUpperCase()}.`, [address(1)]);
    assert.equal(
      harness
        .workload({ rules: [toName(name)] })
        .connectionTo(address(1), 443)
        .open(),
      'pass',
    );
  });
  it('lets IPv6 addresses through where its source is of IPv6', () => {
    const { name, address } = fresh();
    harness.setName(name, ['2001:db8::1', address(1)]);
    const workload = harness.workload({ rules: [toName(name, { family: 6 })] });
    assert.equal(workload.connectionTo('2001:db8::1', 443).open(), 'pass');
    assert.equal(workload.connectionTo(address(1), 443).open(), 'drop');
  });
  it('denies, where it says so', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const workload = harness.workload({ rules: [toName(name, { action: ACTION.deny }), rule({ id: 1002 })] });
    assert.equal(workload.connectionTo(address(1), 443).open(), 'drop');
    assert.equal(workload.connectionTo(address(2), 443).open(), 'pass');
  });
  it('and for an address: the lower id wins', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const byAddress = rule({ id: 1001, peer: address(1), action: ACTION.deny });
    const first = harness.workload({ rules: [byAddress, toName(name, { id: 1002 })] });
    assert.equal(first.connectionTo(address(1), 443).open(), 'drop');
    const second = harness.workload({ rules: [byAddress, toName(name, { id: 1000 })] });
    assert.equal(second.connectionTo(address(1), 443).open(), 'pass');
  });
  it('with an application asks for both', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const workload = harness.workload({ rules: [toName(name, { apps: { HTTPS: ACTION.open } })] });
    assert.equal(workload.connectionTo(address(1), 443).establish().say('client', firstPayload('HTTPS')), 'pass');
    assert.equal(workload.connectionTo(address(1), 443).establish().say('client', firstPayload('HTTP')), 'drop');
    assert.equal(workload.connectionTo(address(2), 443).open(), 'drop');
  });
});

describe('an address that a name loses', () => {
  it('is closed to new connections and stays open to the one that it let in', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const workload = harness.workload({ rules: [toName(name)] });
    const open = workload.connectionTo(address(1), 443).establish();
    harness.setName(name, [address(2)]);
    assert.equal(open.say('client', 'hello'), 'pass');
    assert.equal(open.say('server', 'hello'), 'pass');
    assert.equal(workload.connectionTo(address(1), 443).open(), 'drop');
    assert.equal(workload.connectionTo(address(2), 443).open(), 'pass');
  });
  it('is closed to the open connection too once the rule is gone', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const workload = harness.workload({ rules: [toName(name)] });
    const open = workload.connectionTo(address(1), 443).establish();
    harness.setName(name, []);
    workload.enforce({});
    assert.equal(open.say('client', 'hello'), 'drop');
  });
  it('stays open to the one that it let in, whatever other names say of applications', () => {
    const { zone, address } = fresh();
    const [spoken, named] = [`spoken.${zone}`, `named.${zone}`];
    for (const name of [named, spoken]) harness.setName(name, [address(1)]);
    const rules = [
      toName(spoken, { id: 1001, ports: 'udp/53', apps: { MySQL: ACTION.deny } }),
      toName(named, { id: 1002, ports: 'udp/53' }),
    ];
    const workload = harness.workload({ rules });
    // Its first datagram tells the application, or that there is none: it is decided on at once.
    const datagram = udp({ sourcePort: workload.nextClientPort(), destinationPort: 53 }, Buffer.from('no application'));
    const send = () => workload.send(ip(workload.ends(address(1), 'out'), PROTOCOL.udp, datagram));
    assert.equal(send(), 'pass');
    harness.setName(named, []);
    assert.equal(send(), 'pass');
  });
  it('is lost by ctrl_cfg_del_fqdn as by an empty list', () => {
    const { name, address } = fresh();
    harness.setName(name, [address(1)]);
    const workload = harness.workload({ rules: [toName(name)] });
    harness.engine.carryOut({ name: 'ctrl_cfg_del_fqdn', body: { names: [name] } });
    assert.equal(workload.connectionTo(address(1), 443).open(), 'drop');
  });
  it('is kept where another name still has it', () => {
    const { name, address } = fresh();
    const second = `second.${name}`;
    harness.setName(name, [address(1)]);
    harness.setName(second, [address(1)]);
    harness.setName(name, []);
    const workload = harness.workload({ rules: [toName(name), toName(second, { id: 1002 })] });
    const connection = workload.connectionTo(address(1), 443);
    assert.equal(connection.open(), 'pass');
    assert.equal(connection.flow?.ruleId, 1002);
  });
});

describe('an address that two names have', () => {
  it('satisfies a rule for either', () => {
    const { name, address } = fresh();
    const second = `second.${name}`;
    harness.setName(name, [address(1)]);
    harness.setName(second, [address(1)]);
    for (const one of [name, second])
      assert.equal(
        harness
          .workload({ rules: [toName(one)] })
          .connectionTo(address(1), 443)
          .open(),
        'pass',
      );
  });
  it('takes the rule of lower id, whichever name that has', () => {
    const { name, address } = fresh();
    const second = `second.${name}`;
    harness.setName(name, [address(1)]);
    harness.setName(second, [address(1)]);
    const deny = toName(name, { id: 1002, action: ACTION.deny });
    const workload = harness.workload({ rules: [toName(second, { id: 1001 }), deny] });
    assert.equal(workload.connectionTo(address(1), 443).open(), 'pass');
    const other = harness.workload({ rules: [toName(second, { id: 1003 }), deny] });
    assert.equal(other.connectionTo(address(1), 443).open(), 'drop');
  });
});

describe('a pattern', () => {
  const cases = [
    { says: 'matches a label below it', label: 'api.', verdict: 'pass' },
    { says: 'matches several labels below it', label: 'a.b.c.', verdict: 'pass' },
    { says: 'does not match the name itself', label: '', verdict: 'drop' },
    { says: 'does not match a name that only ends alike', label: 'not', verdict: 'drop' },
  ] as const;
  for (const { says, label, verdict } of cases) {
    it(says, () => {
      const { zone, address } = fresh();
      const workload = harness.workload({ rules: [toName(`*.${zone}`)] });
      harness.setName(`${label}${zone}`, [address(1)]);
      assert.equal(workload.connectionTo(address(1), 443).open(), verdict);
    });
    it(`${says}, also where the name came before it`, () => {
      const { zone, address } = fresh();
      harness.setName(`${label}${zone}`, [address(1)]);
      const workload = harness.workload({ rules: [toName(`*.${zone}`)] });
      assert.equal(workload.connectionTo(address(1), 443).open(), verdict);
    });
  }
  it('may have addresses of its own', () => {
    const { zone, address } = fresh();
    harness.setName(`*.${zone}`, [address(1)]);
    const workload = harness.workload({ rules: [toName(`*.${zone}`)] });
    assert.equal(workload.connectionTo(address(1), 443).open(), 'pass');
  });
  it('over another pattern: each matches what is below it', () => {
    const { zone, address } = fresh();
    harness.setName(`a.${zone}`, [address(1)]);
    harness.setName(`b.a.${zone}`, [address(2)]);
    const wide = harness.workload({ rules: [toName(`*.${zone}`)] });
    assert.deepEqual(
      [1, 2].map((n) => wide.connectionTo(address(n), 443).open()),
      ['pass', 'pass'],
    );
    const narrow = harness.workload({ rules: [toName(`*.a.${zone}`)] });
    assert.deepEqual(
      [1, 2].map((n) => narrow.connectionTo(address(n), 443).open()),
      ['drop', 'pass'],
    );
  });
});

describe('more names than an address can have', () => {
  const isRefused = { name: 'CommandError', code: 7, message: /192\.0\.\d+\.1, with .*; at most 15 fit/ };
  const fill = () => {
    const { zone, address } = fresh();
    const names = Array.from({ length: 15 }, (_, i) => `n${i}.${zone}`);
    for (const name of names) harness.setName(name, [address(1)]);
    return { zone, address, names };
  };
  it('are refused, and the others stay', () => {
    const { zone, address, names } = fill();
    assert.throws(() => harness.setName(`more.${zone}`, [address(1), address(2)]), isRefused);
    const workload = harness.workload({
      rules: names.map((name, i) => toName(name, { id: 1001 + i, ports: `tcp/${i}` })),
    });
    assert.deepEqual(
      names.map((_, i) => workload.connectionTo(address(1), i).open()),
      names.map(() => 'pass'),
    );
    const more = harness.workload({ rules: [toName(`more.${zone}`)] });
    assert.deepEqual(
      [1, 2].map((n) => more.connectionTo(address(n), 443).open()),
      ['drop', 'drop'],
    );
  });
  it('are refused where a policy brings a pattern over them, and the policy before it stays', () => {
    const { zone, address, names } = fill();
    const workload = harness.workload({ rules: [toName(names[0] ?? '')] });
    assert.throws(() => workload.allowOnly(toName(`*.${zone}`)), isRefused);
    assert.equal(workload.connectionTo(address(1), 443).open(), 'pass');
  });
});
