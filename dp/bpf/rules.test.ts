// What a rule matches: the kernel programs, packet by packet.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ACTION } from '../protocol/values.ts';
import { Harness } from './harness.ts';
import { ip } from './packets.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const OTHER = '10.1.0.10';

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const toPeer = rule({ peer: PEER, ports: 'tcp/443' });
const fromPeer = rule({ direction: 'ingress', peer: PEER, ports: 'tcp/8080' });

describe('a rule', () => {
  const cases = [
    { says: 'lets its peer and port through', to: PEER, port: 443, verdict: 'pass' },
    { says: 'says nothing of another port', to: PEER, port: 444, verdict: 'drop' },
    { says: 'says nothing of another address', to: OTHER, port: 443, verdict: 'drop' },
  ] as const;
  for (const { says, to, port, verdict } of cases)
    it(says, () =>
      assert.equal(
        harness
          .workload({ rules: [toPeer] })
          .connectionTo(to, port)
          .open(),
        verdict,
      ),
    );

  it('says nothing of the other direction', () => {
    assert.equal(
      harness
        .workload({ rules: [toPeer] })
        .connectionFrom(PEER, 443)
        .open(),
      'drop',
    );
  });
  it('says nothing of another protocol on the same port', () => {
    assert.equal(harness.workload({ rules: [toPeer] }).sendUdp(PEER, 443), 'drop');
  });
  it('of ingress names the peer by its source and the workload’s port by its destination', () => {
    const workload = harness.workload({ rules: [fromPeer] });
    assert.equal(workload.connectionFrom(PEER, 8080).open(), 'pass');
    assert.equal(workload.connectionFrom(OTHER, 8080).open(), 'drop');
    assert.equal(workload.connectionTo(PEER, 8080).open(), 'drop');
  });
  it('matches both ends of its address and port ranges, and nothing beyond them', () => {
    const workload = harness.workload({ rules: [rule({ peer: '10.1.0.10-10.1.0.20', ports: 'tcp/100-200' })] });
    const verdicts = (['10.1.0.9', '10.1.0.10', '10.1.0.20', '10.1.0.21'] as const).map((to) =>
      [99, 100, 200, 201].map((port) => workload.connectionTo(to, port).open()),
    );
    const inside = ['drop', 'pass', 'pass', 'drop'];
    const outside = ['drop', 'drop', 'drop', 'drop'];
    assert.deepEqual(verdicts, [outside, inside, inside, outside]);
  });
  it('of protocol 0 matches every protocol and port', () => {
    const workload = harness.workload({ rules: [rule({ peer: PEER, ports: 'any' })] });
    assert.equal(workload.connectionTo(PEER, 1).open(), 'pass');
    assert.equal(workload.sendUdp(PEER, 65_535), 'pass');
    assert.equal(workload.send(ip(workload.ends(PEER, 'out'), 47, Buffer.from('GRE'))), 'pass');
  });
  it('with ports 0 to 65535 matches its protocol alone', () => {
    const workload = harness.workload({ rules: [rule({ peer: PEER, ports: 'tcp/0-65535' })] });
    assert.equal(workload.connectionTo(PEER, 65_535).open(), 'pass');
    assert.equal(workload.sendUdp(PEER, 80), 'drop');
  });
  it('of a protocol without ports matches by protocol', () => {
    const workload = harness.workload({ rules: [rule({ peer: PEER, ports: '47' })] });
    assert.equal(workload.send(ip(workload.ends(PEER, 'out'), 47, Buffer.from('GRE'))), 'pass');
    assert.equal(workload.send(ip(workload.ends(PEER, 'out'), 50, Buffer.from('ESP'))), 'drop');
  });
  it('narrows the workload’s own address too', () => {
    const foreign = { ...toPeer, sip: '10.0.0.6', sipr: '10.0.0.6' };
    assert.equal(
      harness
        .workload({ rules: [foreign] })
        .connectionTo(PEER, 443)
        .open(),
      'drop',
    );
    const own = { ...toPeer, sip: '10.0.0.5', sipr: '10.0.0.5' };
    assert.equal(
      harness
        .workload({ rules: [own] })
        .connectionTo(PEER, 443)
        .open(),
      'pass',
    );
  });
  it('of IPv4 says nothing of IPv6, and the other way round', () => {
    assert.equal(
      harness
        .workload({ rules: [rule()] })
        .connectionTo('fd01::9', 443)
        .open(),
      'drop',
    );
    assert.equal(
      harness
        .workload({ rules: [rule({ family: 6 })] })
        .connectionTo(PEER, 443)
        .open(),
      'drop',
    );
    assert.equal(
      harness
        .workload({ rules: [rule({ family: 6 })] })
        .connectionTo('fd01::9', 443)
        .open(),
      'pass',
    );
  });
  it('with the lower id wins, whatever the order in the message', () => {
    const allow = rule({ id: 1001, peer: PEER, ports: 'tcp/443' });
    const deny = rule({ id: 1002, action: ACTION.deny });
    assert.equal(
      harness
        .workload({ rules: [allow, deny] })
        .connectionTo(PEER, 443)
        .open(),
      'pass',
    );
    assert.equal(
      harness
        .workload({ rules: [deny, allow] })
        .connectionTo(PEER, 443)
        .open(),
      'pass',
    );
    const first = { ...deny, id: 1000 };
    assert.equal(
      harness
        .workload({ rules: [allow, first] })
        .connectionTo(PEER, 443)
        .open(),
      'drop',
    );
  });
});
