// ICMP: errors go with the connection that they are about, echoes with their request. The kernel programs, frame by frame.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { reason } from '../kernel/abi.gen.ts';
import { PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { icmp, ip, syn, tcp, udp } from './packets.ts';
import { EVERYTHING, rule } from './rules.ts';

const PEER = '10.1.0.9';
const PEER6 = 'fd01::9';

const harness = new Harness();
after(() => harness[Symbol.dispose]());

describe('an ICMP error', () => {
  const ROUTER = '10.9.9.9';
  const ROUTER6 = 'fd09::9';
  const ports = { sourcePort: 40_000, destinationPort: 443 };
  const behindEthernet = (frame: Uint8Array, bytes = frame.length) => frame.subarray(14, 14 + bytes);
  const tooBig = (workload: Workload, quoted: Uint8Array) =>
    workload.receive(ip(workload.ends(ROUTER, 'in'), PROTOCOL.icmp, icmp(3, 4, 1400, quoted)));
  const tooBig6 = (workload: Workload, quoted: Uint8Array) =>
    workload.receive(ip(workload.ends(ROUTER6, 'in'), PROTOCOL.icmpv6, icmp(2, 0, 1400, quoted)));

  it('about an allowed connection passes, from whatever router', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443' }));
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443));
    workload.send(frame);
    assert.equal(tooBig(workload, behindEthernet(frame)), 'pass');
    assert.equal(tooBig(workload, behindEthernet(frame, 28)), 'pass', 'eight bytes of transport are enough');
  });
  it('about an allowed connection of IPv6 passes', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443', family: 6 }));
    const frame = ip(workload.ends(PEER6, 'out'), PROTOCOL.tcp, syn(443));
    workload.send(frame);
    assert.equal(tooBig6(workload, behindEthernet(frame)), 'pass');
  });
  it('about a packet of its own that the workload answers passes on the way out', () => {
    const workload = harness.allowing(rule({ direction: 'ingress', ports: 'udp/443' }));
    const frame = ip(workload.ends(PEER, 'in'), PROTOCOL.udp, udp(ports));
    assert.equal(workload.receive(frame), 'pass');
    const unreachable = ip(workload.ends(PEER, 'out'), PROTOCOL.icmp, icmp(3, 3, 0, behindEthernet(frame)));
    assert.equal(workload.send(unreachable), 'pass');
  });
  it('about an echo passes', () => {
    const workload = harness.allowing(rule({ ports: 'icmp' }));
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.icmp, icmp(8, 0, 0x00070001));
    workload.send(frame);
    assert.equal(tooBig(workload, behindEthernet(frame)), 'pass');
  });
  it('about no connection is dropped and counted, even where ICMP is allowed', () => {
    const workload = harness.allowing(...EVERYTHING);
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443));
    assert.equal(tooBig(workload, behindEthernet(frame)), 'drop');
    assert.equal(workload.drops(reason.strayIcmpError), 1n);
  });
  it('about a connection the other way round is dropped', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443' }));
    workload.send(ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443)));
    const reversed = ip(
      workload.ends(PEER, 'in'),
      PROTOCOL.tcp,
      tcp({ sourcePort: 443, destinationPort: 40_000, flags: 2 }),
    );
    assert.equal(tooBig(workload, behindEthernet(reversed)), 'drop');
  });
  it('about a connection of another workload is dropped', () => {
    const [workload, other] = [harness.allowing(rule({ ports: 'tcp/443' })), harness.allowing(...EVERYTHING)];
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443));
    workload.send(frame);
    assert.equal(tooBig(other, behindEthernet(frame)), 'drop');
  });
  it('to another than who sent the packet that it quotes is dropped', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443' }));
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443));
    workload.send(frame);
    const ends = { ...workload.ends(ROUTER, 'in'), destination: '10.0.0.6' };
    const error = ip(ends, PROTOCOL.icmp, icmp(3, 4, 1400, behindEthernet(frame)));
    assert.equal(workload.receive(error), 'drop');
  });
  it('about a connection that is denied by now is dropped', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443' }));
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443));
    workload.send(frame);
    workload.enforce({});
    assert.equal(tooBig(workload, behindEthernet(frame)), 'drop');
  });
  it('of a kind that IPv6 does not have is judged like any packet', () => {
    const reserved = (workload: Workload) =>
      workload.receive(ip(workload.ends(ROUTER6, 'in'), PROTOCOL.icmpv6, icmp(100, 0, 0)));
    assert.equal(reserved(harness.allowing()), 'drop');
    assert.equal(reserved(harness.allowing(rule({ direction: 'ingress', ports: 'icmpv6', family: 6 }))), 'pass');
  });
  it('that quotes nothing, or rubbish, is dropped', () => {
    const workload = harness.allowing(...EVERYTHING);
    assert.equal(tooBig(workload, new Uint8Array()), 'drop');
    assert.equal(tooBig(workload, new Uint8Array(28).fill(0xff)), 'drop');
  });
  it('passes where there is no policy', () => {
    assert.equal(tooBig(harness.workload(), new Uint8Array()), 'pass');
  });
});

describe('an echo', () => {
  const echoes = [
    { name: 'ICMP', peer: PEER, protocol: PROTOCOL.icmp, request: 8, reply: 0, ports: 'icmp', family: 4 },
    { name: 'ICMPv6', peer: PEER6, protocol: PROTOCOL.icmpv6, request: 128, reply: 129, ports: 'icmpv6', family: 6 },
  ] as const;
  for (const { name, peer, protocol, request, reply, ports, family } of echoes) {
    const out = (workload: Workload, type: number, id: number) =>
      workload.send(ip(workload.ends(peer, 'out'), protocol, icmp(type, 0, id << 16)));
    const back = (workload: Workload, type: number, id: number) =>
      workload.receive(ip(workload.ends(peer, 'in'), protocol, icmp(type, 0, id << 16)));

    it(`of ${name} is answered where it is allowed`, () => {
      const workload = harness.allowing(rule({ ports, family }));
      assert.equal(out(workload, request, 7), 'pass');
      assert.equal(back(workload, reply, 7), 'pass');
    });
    it(`of ${name} is not answered where nobody asked, or by another identifier`, () => {
      const workload = harness.allowing(rule({ ports, family }));
      assert.equal(back(workload, reply, 7), 'drop');
      out(workload, request, 7);
      assert.equal(back(workload, reply, 8), 'drop');
    });
    it(`of ${name} does not let the other side ask`, () => {
      const workload = harness.allowing(rule({ ports, family }));
      out(workload, request, 7);
      assert.equal(back(workload, request, 7), 'drop');
    });
    it(`of ${name} is denied by default`, () => {
      assert.equal(out(harness.allowing(), request, 7), 'drop');
    });
  }
});
