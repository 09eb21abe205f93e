// A workload may open connections only from addresses that dp was told are its own.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { reason } from '../kernel/abi.gen.ts';
import { PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { ip, TCP_FLAG, tcp } from './packets.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const PEER6 = 'fd01::9';
const everything = [1, 2].map((id) => rule({ id, family: id === 1 ? 4 : 6 }));

const harness = new Harness();
after(() => harness[Symbol.dispose]());

/** A workload that may send anything, and has these addresses. */
function owning(...addresses: string[]): Workload {
  const workload = harness.workload({ rules: everything });
  own(workload, ...addresses);
  return workload;
}

function own(workload: Workload, ...addresses: string[]): void {
  const [registered] = harness.engine.workloads.withMac(workload.mac);
  assert.ok(registered);
  harness.engine.workloads.setAddresses(registered, new Set(addresses));
}

function sendFrom(workload: Workload, source: string, flags: number = TCP_FLAG.syn) {
  const peer = source.includes(':') ? PEER6 : PEER;
  const ports = { sourcePort: 40_000, destinationPort: 443 };
  return workload.send(ip({ ...workload.ends(peer, 'out'), source }, PROTOCOL.tcp, tcp({ ...ports, flags })));
}

const refused = (workload: Workload): bigint =>
  harness.datapath.drops.get({ endpoint: workload.id, reason: reason.spoofedAddress })?.packets ?? 0n;

describe('a source address', () => {
  const cases = [
    { says: 'of the workload passes', own: ['10.0.0.5'], from: '10.0.0.5', verdict: 'pass' },
    { says: 'of another is dropped', own: ['10.0.0.5'], from: '10.0.0.6', verdict: 'drop' },
    { says: 'one of several passes', own: ['10.0.0.5', '10.0.0.7', 'fd00::5'], from: '10.0.0.7', verdict: 'pass' },
    { says: 'of IPv6 that is another’s is dropped', own: ['fd00::5'], from: 'fd00::6', verdict: 'drop' },
    { says: 'of a family that dp was told nothing of passes', own: ['10.0.0.5'], from: 'fd00::6', verdict: 'pass' },
    { says: 'passes where dp was told of no address', own: [], from: '10.9.9.9', verdict: 'pass' },
    { says: 'of the link alone passes', own: ['fd00::5'], from: 'fe80::1', verdict: 'pass' },
    { says: 'of a host that has none yet passes', own: ['10.0.0.5'], from: '0.0.0.0', verdict: 'pass' },
    { says: 'of the link alone says nothing of others', own: ['fe80::5'], from: 'fd00::6', verdict: 'pass' },
  ] as const;
  for (const { says, own: addresses, from, verdict } of cases)
    it(says, () => {
      const workload = owning(...addresses);
      assert.equal(sendFrom(workload, from), verdict);
      assert.equal(refused(workload), verdict === 'drop' ? 1n : 0n);
    });

  it('that is another’s is reported as spoofed', () => {
    const workload = owning('10.0.0.5');
    harness.events();
    sendFrom(workload, '10.0.0.66');
    sendFrom(workload, '10.0.0.66');
    // The second within 2 s of the first is counted alone.
    const reasons = harness.events().map((event) => event.reason);
    assert.deepEqual(reasons, [reason.spoofedAddress]);
  });
});

describe('a change of a workload’s addresses', () => {
  it('stops what it sends from one that is no longer its own, in the middle of a connection', () => {
    const workload = owning('10.0.0.5', '10.0.0.7');
    assert.equal(sendFrom(workload, '10.0.0.7'), 'pass');
    own(workload, '10.0.0.5');
    workload.enforce({ rules: everything });
    assert.equal(sendFrom(workload, '10.0.0.7', TCP_FLAG.ack), 'drop');
  });
  it('lets it send from a new one', () => {
    const workload = owning('10.0.0.5');
    assert.equal(sendFrom(workload, '10.0.0.8'), 'drop');
    own(workload, '10.0.0.5', '10.0.0.8');
    assert.equal(sendFrom(workload, '10.0.0.8'), 'pass');
  });
  it('to none stops the check', () => {
    const workload = owning('10.0.0.5');
    own(workload);
    assert.equal(sendFrom(workload, '10.0.0.9'), 'pass');
  });
});

describe('what a peer opened', () => {
  it('the workload may answer from whatever address it was sent to', () => {
    const workload = owning('10.0.0.99');
    workload.enforce({ rules: [rule({ direction: 'ingress' })] });
    assert.equal(workload.connectionFrom(PEER, 80).open(), 'pass');
  });
});
