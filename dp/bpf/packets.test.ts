// What the kernel programs make of a packet’s headers: every kind that passes a workload’s interface, and broken ones.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { reason } from '../kernel/abi.gen.ts';
import { ETHER_TYPE } from '../protocol/address.ts';
import { DIRECTION, PROTOCOL } from '../protocol/values.ts';
import { Harness, type Verdict, type Workload } from './harness.ts';
import { EXTENSION, ethernet, type IpOptions, icmp, ip, syn, TCP_FLAG, tcp, udp, VLAN } from './packets.ts';
import { EVERYTHING, rule } from './rules.ts';

const PEER = '10.1.0.9';
const PEER6 = 'fd01::9';
const PADDING = new Uint8Array(46);
const LLDP = 0x88cc;
/** An Ethernet header. */
const SHORTEST = 14;
const { hopByHop, routing, destination } = EXTENSION;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

/** Whose entry is also the interface’s own. */
const owner = harness.workload({ rules: [rule()] });

const synTo = (workload: Workload, port: number, options = {}, peer = PEER) =>
  workload.send(ip(workload.ends(peer, 'out'), PROTOCOL.tcp, syn(port), options));

describe('a source MAC that is not the workload’s', () => {
  const spoofed = (mac: string) => ip({ ...owner.ends(PEER, 'out'), sourceMac: mac }, PROTOCOL.tcp, syn(443));
  const cases = [
    { says: 'of nobody', mac: '02:00:00:00:aa:aa' },
    { says: 'of zeros, as the interface’s own entry has it', mac: '00:00:00:00:00:00' },
    { says: 'of all ones', mac: 'ff:ff:ff:ff:ff:ff' },
  ];
  for (const { says, mac } of cases)
    it(`is dropped and counted: one ${says}`, () => {
      const before = owner.drops(reason.spoofedMac);
      assert.equal(owner.send(spoofed(mac)), 'drop');
      assert.equal(owner.drops(reason.spoofedMac), before + 1n);
    });
  it('is reported with that MAC', () => {
    const [event] = owner.events();
    assert.equal(event?.reason, reason.spoofedMac);
    assert.equal(Buffer.from(event?.mac ?? []).toString('hex'), '02000000aaaa');
  });
  it('is dropped also where only the other direction is policed', () => {
    owner.enforce({ dir: DIRECTION.ingress });
    assert.equal(owner.send(spoofed('02:00:00:00:aa:aa')), 'drop');
  });
  it('is reported and passes in tap', () => {
    owner.configure({ tap: true });
    assert.equal(owner.send(spoofed('02:00:00:00:aa:aa')), 'pass');
    owner.configure({ tap: false });
  });
  it('passes where there is no policy', () => {
    owner.enforce({ cmd: 2 });
    assert.equal(owner.send(spoofed('02:00:00:00:aa:aa')), 'pass');
  });
  it('does not matter on the way to the workload', () => {
    owner.enforce({ rules: [rule({ direction: 'ingress' })] });
    assert.equal(owner.connectionFrom(PEER, 80).open(), 'pass');
  });
});

describe('address resolution', () => {
  const arp = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1, ...PADDING);
  it('by ARP passes every policy, both ways', () => {
    const workload = harness.allowing();
    assert.equal(workload.send(ethernet(workload.ends(PEER, 'out'), ETHER_TYPE.arp, arp)), 'pass');
    assert.equal(workload.receive(ethernet(workload.ends(PEER, 'in'), ETHER_TYPE.arp, arp)), 'pass');
  });
  const discovery = (type: number, hopLimit: number) => (workload: Workload) => {
    const frame = ip(workload.ends('ff02::1', 'out'), PROTOCOL.icmpv6, icmp(type, 0, 0, PADDING));
    frame[14 + 7] = hopLimit;
    return workload.send(frame);
  };
  for (const type of [133, 134, 135, 136, 137])
    it(`by neighbour discovery passes every policy: type ${type}`, () => {
      assert.equal(discovery(type, 255)(harness.allowing()), 'pass');
    });
  for (const type of [130, 131, 132, 143])
    it(`passes together with what multicast listeners say: type ${type}`, () => {
      assert.equal(discovery(type, 1)(harness.allowing()), 'pass');
    });
  it('is no disguise: what a router would forward, and the same in IPv4, is policed', () => {
    assert.equal(discovery(135, 64)(harness.allowing()), 'drop');
    assert.equal(discovery(143, 64)(harness.allowing()), 'drop');
    const workload = harness.allowing();
    assert.equal(workload.send(ip(workload.ends(PEER, 'out'), PROTOCOL.icmpv6, icmp(135, 0, 0, PADDING))), 'drop');
  });
});

describe('an Ethernet type that is not IP', () => {
  const lldp = (workload: Workload) => ethernet(workload.ends(PEER, 'out'), LLDP, PADDING);
  it('passes where there is no policy', () => {
    const workload = harness.workload();
    assert.equal(workload.send(lldp(workload)), 'pass');
  });
  it('is dropped, counted and reported under one, even one that allows everything', () => {
    const workload = harness.allowing(...EVERYTHING);
    assert.equal(workload.send(lldp(workload)), 'drop');
    assert.equal(workload.drops(reason.unsupportedProtocol), 1n);
    assert.equal(workload.events()[0]?.reason, reason.unsupportedProtocol);
  });
  it('passes in the direction that is not policed', () => {
    const workload = harness.workload({ dir: DIRECTION.ingress });
    assert.equal(workload.send(lldp(workload)), 'pass');
  });
});

describe('VLAN tags', () => {
  const cases: readonly { says: string; vlans: number[]; verdicts: Verdict[] }[] = [
    { says: 'one is read over', vlans: [VLAN.customer], verdicts: ['pass', 'drop'] },
    { says: 'two are read over', vlans: [VLAN.service, VLAN.customer], verdicts: ['pass', 'drop'] },
    { says: 'three are dropped', vlans: [VLAN.service, VLAN.service, VLAN.customer], verdicts: ['drop', 'drop'] },
  ];
  for (const { says, vlans, verdicts } of cases)
    for (const peer of [PEER, PEER6])
      it(`${says}, in front of ${peer}`, () => {
        const workload = harness.allowing(rule({ peer, ports: 'tcp/443' }));
        assert.deepEqual(
          [443, 444].map((port) => synTo(workload, port, { vlans }, peer)),
          verdicts,
        );
      });
});

describe('IP headers', () => {
  it('of IPv4 with options are read over', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443' }));
    for (const bytes of [4, 20, 40])
      assert.deepEqual(
        [443, 444].map((port) => synTo(workload, port, { options: new Uint8Array(bytes) })),
        ['pass', 'drop'],
      );
  });
  it('of IPv6 with up to six extension headers are read over', () => {
    const workload = harness.allowing(rule({ ports: 'tcp/443', family: 6 }));
    for (const extensions of [
      [hopByHop],
      [routing, destination],
      [hopByHop, destination, routing, destination, destination, destination],
    ])
      assert.deepEqual(
        [443, 444].map((port) => synTo(workload, port, { extensions }, PEER6)),
        ['pass', 'drop'],
      );
  });
  it('of IPv6 with more are invalid', () => {
    const workload = harness.allowing(...EVERYTHING);
    assert.equal(synTo(workload, 443, { extensions: Array(7).fill(destination) }, PEER6), 'drop');
    assert.equal(workload.drops(reason.invalidPacket), 1n);
  });
  it('of IPv6 with IPv4 addresses inside are invalid: no rule for these is meant', () => {
    const workload = harness.allowing(rule());
    const ends = { ...workload.ends(PEER6, 'out'), source: '::ffff:10.0.0.5', destination: '::ffff:10.1.0.9' };
    assert.equal(workload.send(ip(ends, PROTOCOL.tcp, syn(443))), 'drop');
    assert.equal(workload.drops(reason.invalidPacket), 1n);
  });
  const broken = [
    { says: 'version 5 in IPv4', peer: PEER, change: { 14: 0x55 } },
    { says: 'version 4 in IPv6', peer: PEER6, change: { 14: 0x40 } },
    { says: 'a header shorter than any', peer: PEER, change: { 14: 0x44 } },
    { says: 'a length beyond the frame', peer: PEER, change: { 16: 0xff } },
    { says: 'a length shorter than the headers', peer: PEER, change: { 16: 0, 17: 19 } },
    { says: 'a payload length beyond the frame', peer: PEER6, change: { 18: 0xff } },
    { says: 'a TCP header shorter than any', peer: PEER, change: { 46: 0x40 } },
    { says: 'a TCP header longer than its packet', peer: PEER, change: { 46: 0xf0 } },
  ];
  for (const { says, peer, change } of broken)
    it(`are invalid with ${says}`, () => {
      const workload = harness.allowing(...EVERYTHING);
      const frame = ip(workload.ends(peer, 'out'), PROTOCOL.tcp, syn(443));
      for (const [at, byte] of Object.entries(change)) frame[Number(at)] = byte;
      assert.equal(workload.send(frame), 'drop');
      assert.equal(workload.drops(reason.invalidPacket), 1n);
    });
  it('do not make the padding of a short frame a payload', () => {
    const workload = harness.workload();
    const frame = ip(workload.ends(PEER, 'out'), PROTOCOL.tcp, syn(443));
    assert.equal(workload.send(Uint8Array.of(...frame, ...Buffer.from('GET / HTTP/1.1'))), 'pass');
    const [flow] = harness.datapath
      .flows()
      .entries()
      .filter(([key]) => key.endpoint === workload.id);
    assert.equal(flow?.[1].application, 0);
  });
});

describe('a frame cut short', () => {
  const payload = Buffer.from('payload');
  const ports = { sourcePort: 40_000, destinationPort: 443 };
  const segment = tcp({ ...ports, flags: TCP_FLAG.syn, payload });
  const quoted = (peer: string) => ip(owner.ends(peer, 'in'), PROTOCOL.udp, udp(ports)).subarray(14);
  const fragment = { id: 1, offset: 0, isLast: false };
  const extensions = [hopByHop, routing, destination];
  const packets: readonly { says: string; peer: string; protocol: number; body: Uint8Array; options?: IpOptions }[] = [
    { says: 'TCP', peer: PEER, protocol: PROTOCOL.tcp, body: segment },
    { says: 'TCP over IPv6', peer: PEER6, protocol: PROTOCOL.tcp, body: segment },
    {
      says: 'UDP',
      peer: PEER,
      protocol: PROTOCOL.udp,
      body: udp(ports, payload),
      options: { options: new Uint8Array(40) },
    },
    { says: 'UDP over IPv6', peer: PEER6, protocol: PROTOCOL.udp, body: udp(ports, payload), options: { extensions } },
    { says: 'an echo', peer: PEER, protocol: PROTOCOL.icmp, body: icmp(8, 0, 1, payload) },
    { says: 'an echo of IPv6', peer: PEER6, protocol: PROTOCOL.icmpv6, body: icmp(128, 0, 1, payload) },
    { says: 'an ICMP error', peer: PEER, protocol: PROTOCOL.icmp, body: icmp(3, 4, 0, quoted(PEER)) },
    { says: 'an ICMPv6 error', peer: PEER6, protocol: PROTOCOL.icmpv6, body: icmp(2, 0, 0, quoted(PEER6)) },
    { says: 'a first fragment', peer: PEER, protocol: PROTOCOL.udp, body: udp(ports, payload), options: { fragment } },
    { says: 'one of IPv6', peer: PEER6, protocol: PROTOCOL.udp, body: udp(ports, payload), options: { fragment } },
    { says: 'a protocol without ports', peer: PEER, protocol: 47, body: payload },
  ];
  for (const { says, peer, protocol, body, options } of packets) {
    /** In a VLAN: else the kernel's own test run refuses a frame whose IP header is not whole. */
    const frameOf = (workload: Workload) =>
      ip(workload.ends(peer, 'out'), protocol, body, { ...options, vlans: [VLAN.customer] });
    it(`is dropped at every length under a policy that allows it: ${says}`, () => {
      const workload = harness.allowing(...EVERYTHING);
      const frame = frameOf(workload);
      for (let bytes = SHORTEST; bytes < frame.length; bytes++)
        assert.equal(workload.send(frame.subarray(0, bytes)), 'drop', `${bytes} of ${frame.length} bytes`);
    });
    it(`passes at every length where there is no policy: ${says}`, () => {
      const workload = harness.workload();
      const frame = frameOf(workload);
      for (let bytes = SHORTEST; bytes <= frame.length; bytes++)
        assert.equal(workload.send(frame.subarray(0, bytes)), 'pass', `${bytes} of ${frame.length} bytes`);
    });
  }
});
