// Fragments follow the first one of their packet: the kernel programs, frame by frame.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { reason } from '../kernel/abi.gen.ts';
import { DIRECTION, PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { EXTENSION, ip, syn, udp } from './packets.ts';
import { EVERYTHING, rule } from './rules.ts';

const PEER = '10.1.0.9';
const PEER6 = 'fd01::9';

const harness = new Harness();
after(() => harness[Symbol.dispose]());

describe('fragments', () => {
  const datagram = udp({ sourcePort: 40_000, destinationPort: 53 }, new Uint8Array(56));
  /** The verdicts of the pieces of one datagram, from `from` on. */
  const pieces = (workload: Workload, id: number, peer: string, from = 0) =>
    [0, 24, 48].slice(from).map((offset) => {
      const fragment = { id, offset, isLast: offset === 48 };
      return workload.send(
        ip(workload.ends(peer, 'out'), PROTOCOL.udp, datagram.subarray(offset, offset + 24), { fragment }),
      );
    });
  for (const [peer, family] of [
    [PEER, 4],
    [PEER6, 6],
  ] as const) {
    it(`pass with their first one, IPv${family}`, () => {
      assert.deepEqual(pieces(harness.allowing(rule({ ports: 'udp/53', family })), 1, peer), ['pass', 'pass', 'pass']);
    });
    it(`are dropped with their first one, IPv${family}`, () => {
      assert.deepEqual(pieces(harness.allowing(rule({ ports: 'udp/54', family })), 1, peer), ['drop', 'drop', 'drop']);
    });
    it(`are dropped and counted where their first one was not seen, IPv${family}`, () => {
      const workload = harness.allowing(...EVERYTHING);
      assert.deepEqual(pieces(workload, 1, peer, 1), ['drop', 'drop']);
      assert.equal(workload.drops(reason.orphanFragment), 2n);
    });
    it(`of another packet are not let through by it, IPv${family}`, () => {
      const workload = harness.allowing(...EVERYTHING);
      pieces(workload, 1, peer);
      assert.deepEqual(pieces(workload, 2, peer, 1), ['drop', 'drop']);
    });
  }
  it('pass unseen where there is no policy', () => {
    assert.deepEqual(pieces(harness.workload(), 1, PEER, 1), ['pass', 'pass']);
  });
  it('pass in the direction that is not policed', () => {
    assert.deepEqual(pieces(harness.workload({ dir: DIRECTION.ingress }), 1, PEER, 1), ['pass', 'pass']);
  });
  it('of IPv6 follow a first one that has an extension header of its own', () => {
    const workload = harness.allowing(rule({ ports: 'udp/53', family: 6 }));
    const ends = workload.ends(PEER6, 'out');
    const fragment = { id: 9, offset: 0, isLast: false };
    assert.equal(
      workload.send(
        ip(ends, PROTOCOL.udp, datagram.subarray(0, 24), { fragment, extensions: [EXTENSION.destination] }),
      ),
      'pass',
    );
    const last = { id: 9, offset: 32, isLast: true };
    assert.equal(workload.send(ip(ends, EXTENSION.destination, datagram.subarray(24), { fragment: last })), 'pass');
  });
  it('too small for the ports are invalid, and so is what follows', () => {
    const workload = harness.allowing(...EVERYTHING);
    const ends = workload.ends(PEER, 'out');
    const tiny = { id: 3, offset: 0, isLast: false };
    assert.equal(workload.send(ip(ends, PROTOCOL.tcp, syn(443).subarray(0, 8), { fragment: tiny })), 'drop');
    const rest = { id: 3, offset: 8, isLast: true };
    assert.equal(workload.send(ip(ends, PROTOCOL.tcp, syn(443).subarray(8), { fragment: rest })), 'drop');
  });
});
