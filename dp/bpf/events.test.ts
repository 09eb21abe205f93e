// What the kernel programs report of the packets that they drop, and the THREAT_LOG that dp makes of it.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { counter, event as eventCodec, reason } from '../kernel/abi.gen.ts';
import { RingBuffer } from '../kernel/libbpf.ts';
import { unpackAddress } from '../protocol/address.ts';
import { APPLICATION } from '../protocol/applications.ts';
import { decodeReport, encodeReport, type ThreatLog } from '../protocol/reports.ts';
import { SEVERITY, THREAT } from '../protocol/threats.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import { threatReport } from '../reports/threats.ts';
import type { Connection } from './connection.ts';
import { Harness, type Workload } from './harness.ts';
import { ethernet, icmp, ip, TCP_FLAG, tcp, VLAN } from './packets.ts';
import { firstPayload } from './payloads.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const PEER6 = 'fd01::9';
/** In ticks of the programs' clock, and more than passes while a test runs. */
const LONG_AGO = 1000;
const TABLE_BYTES = 2 ** 21;

const harness = new Harness();
after(() => harness[Symbol.dispose]());
const owner = harness.workload({});

/** The THREAT_LOGs of what has been dropped since the last call, as an agent reads them. */
function threats(workload: Workload): { threat: ThreatLog; packet: Uint8Array }[] {
  return workload.events().map((event) => {
    const { report } = decodeReport(encodeReport(threatReport(event, workload.mac, 7, harness.engine.networks), 1));
    assert.ok(report.kind === 'threatLog');
    return report;
  });
}

const ends = ({ etherType, source, destination, sourcePort, destinationPort }: ThreatLog) =>
  `${unpackAddress(etherType, source)} ${sourcePort} > ${unpackAddress(etherType, destination)} ${destinationPort}`;

/** As if the last report of the denied connection had been long ago. */
function age(connection: Connection): void {
  const denials = harness.datapath.denials();
  const denial = denials.get(connection.key);
  assert.ok(denial);
  denials.set(connection.key, { ...denial, reported: denial.reported - LONG_AGO });
}

describe('a denied connection', () => {
  it('is reported with its ends, its rule and the first 64 bytes of the packet', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, action: ACTION.deny })] });
    const frame = ip(
      workload.ends(PEER, 'out'),
      PROTOCOL.tcp,
      tcp({ sourcePort: 40_000, destinationPort: 443, flags: 2, payload: Buffer.alloc(100, 'x') }),
    );
    workload.send(frame);
    const [{ threat, packet } = assert.fail(), ...others] = threats(workload);
    assert.deepEqual(others, []);
    assert.equal(ends(threat), '10.0.0.5 40000 > 10.1.0.9 443');
    const { threatId, severity, count, action, ruleId, flags, ipProtocol, packetBytes, mac, revision, application } =
      threat;
    assert.deepEqual(
      { threatId, severity, count, action, ruleId, flags, ipProtocol, packetBytes, mac, revision, application },
      {
        threatId: THREAT.policyViolation.id,
        severity: SEVERITY.medium,
        count: 1,
        action: ACTION.deny,
        ruleId: 1234,
        flags: 0,
        ipProtocol: PROTOCOL.tcp,
        packetBytes: frame.length,
        mac: workload.mac,
        revision: 2,
        application: 0,
      },
    );
    assert.deepEqual([...packet], [...frame.subarray(0, 64)]);
  });
  it('to the workload is reported as such, with the ends as in the packet', () => {
    const workload = harness.workload({});
    const connection = workload.connectionFrom(PEER6, 8080);
    connection.open();
    const [{ threat } = assert.fail()] = threats(workload);
    assert.equal(ends(threat), `fd01::9 ${connection.key.peerPort} > fd00::5 8080`);
    assert.equal(threat.flags, 3, 'to the workload, opened towards it');
  });
  it('is told apart from the packets of the other side', () => {
    const workload = harness.workload({});
    const connection = workload.connectionTo(PEER, 443);
    connection.open();
    threats(workload);
    age(connection);
    connection.accept();
    const [{ threat } = assert.fail()] = threats(workload);
    assert.equal(threat.flags, 1, 'to the workload, but opened by it');
    assert.equal(threat.sourcePort, 443);
  });
  it('is reported once, and then with a count of what came meanwhile', () => {
    const workload = harness.workload({});
    const connection = workload.connectionTo(PEER, 443);
    for (let i = 0; i < 5; i++) connection.packet('client', { flags: TCP_FLAG.syn, sequence: i, payload: Buffer.of() });
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.count),
      [1],
    );
    age(connection);
    for (let i = 0; i < 5; i++) connection.packet('client', { flags: TCP_FLAG.syn, sequence: i, payload: Buffer.of() });
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.count),
      [5],
    );
  });
  it('is reported apart from another one', () => {
    const workload = harness.workload({});
    for (const port of [1, 2, 3]) workload.connectionTo(PEER, port).open();
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.destinationPort),
      [1, 2, 3],
    );
  });
  it('is not reported again because the policy changes and still denies it', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, action: ACTION.deny })] });
    const connection = workload.connectionTo(PEER, 443);
    connection.open();
    workload.enforce({ rules: [rule({ id: 1234, action: ACTION.deny }), rule({ id: 2000, peer: PEER6 })] });
    connection.packet('client', { flags: TCP_FLAG.syn, sequence: 1, payload: Buffer.of() });
    assert.equal(threats(workload).length, 1);
    age(connection);
    connection.packet('client', { flags: TCP_FLAG.syn, sequence: 2, payload: Buffer.of() });
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.count),
      [2],
    );
  });
  it('is reported again where another rule denies it', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, action: ACTION.deny })] });
    const connection = workload.connectionTo(PEER, 443);
    connection.open();
    workload.enforce({});
    connection.packet('client', { flags: TCP_FLAG.syn, sequence: 1, payload: Buffer.of() });
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.ruleId),
      [1234, 0],
    );
  });
  it('is reported with the application that it was denied for', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, apps: { HTTP: ACTION.deny } }), rule({ id: 2000 })] });
    workload.connectionTo(PEER, 80).establish().say('client', firstPayload('HTTP'));
    const [{ threat } = assert.fail()] = threats(workload);
    assert.deepEqual([threat.ruleId, threat.application], [1234, APPLICATION.HTTP]);
  });
  it('counts no hit for what it repeats', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, action: ACTION.deny })] });
    const connection = workload.connectionTo(PEER, 443);
    for (let i = 0; i < 5; i++) connection.open();
    const hits = harness.datapath.hits.entries().filter(([key]) => key.endpoint === workload.id);
    assert.deepEqual(
      hits.map(([key, count]) => [key.ruleId, key.revision, count.hits]),
      [[1234, 2, 1n]],
    );
  });
});

describe('a packet of no connection', () => {
  const stray = (workload: Workload) => workload.receive(ip(workload.ends(PEER, 'in'), PROTOCOL.icmp, icmp(3, 4, 0)));
  it('is reported once for its reason, and then with a count', () => {
    const workload = harness.workload({});
    for (let i = 0; i < 5; i++) stray(workload);
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.count),
      [1],
    );
    const key = { endpoint: workload.id, reason: reason.strayIcmpError };
    const drop = harness.datapath.drops.get(key);
    assert.ok(drop);
    assert.equal(drop.packets, 5n);
    harness.datapath.drops.set(key, { ...drop, reported: drop.reported - LONG_AGO });
    stray(workload);
    assert.deepEqual(
      threats(workload).map(({ threat }) => threat.count),
      [5],
    );
  });
  it('of ICMP has its type and code instead of ports', () => {
    const workload = harness.workload({});
    stray(workload);
    const [{ threat } = assert.fail()] = threats(workload);
    assert.deepEqual([threat.threatId, threat.icmpType, threat.icmpCode], [THREAT.strayIcmpError.id, 3, 4]);
    assert.equal(ends(threat), '10.1.0.9 0 > 10.0.0.5 0');
  });
  it('with a spoofed MAC is reported in words with that MAC', () => {
    owner.send(
      ip(
        { ...owner.ends(PEER, 'out'), sourceMac: '02:00:00:00:aa:aa' },
        PROTOCOL.tcp,
        tcp({ sourcePort: 1, destinationPort: 2, flags: 2 }),
      ),
    );
    const [{ threat } = assert.fail()] = threats(owner);
    assert.deepEqual([threat.threatId, threat.severity], [THREAT.spoofedMac.id, SEVERITY.high]);
    assert.equal(threat.message, 'spoofed MAC address 02:00:00:00:aa:aa');
  });
  it('that is not IP has no addresses', () => {
    const workload = harness.workload({});
    workload.send(ethernet(workload.ends(PEER, 'out'), 0x88cc, Buffer.alloc(50)));
    const [{ threat } = assert.fail()] = threats(workload);
    assert.deepEqual([threat.threatId, threat.etherType], [THREAT.unsupportedProtocol.id, 0]);
  });
  for (const peer of [PEER, PEER6])
    it(`that is cut short before its addresses has none: to ${peer}`, () => {
      const workload = harness.workload({});
      const frame = ip(workload.ends(peer, 'out'), PROTOCOL.udp, Buffer.alloc(8), { vlans: [VLAN.customer] });
      workload.send(frame.subarray(0, 30));
      const [{ threat, packet } = assert.fail()] = threats(workload);
      assert.deepEqual([threat.threatId, threat.etherType], [THREAT.invalidPacket.id, 0]);
      assert.equal(packet.length, 30);
    });
});

describe('the table of reports', () => {
  it('is read as far as the reader wants, and goes on from there', () => {
    const workload = harness.workload({});
    harness.events();
    const ports: number[] = [];
    const take = (sample: Uint8Array) =>
      ports.push(eventCodec.read(new DataView(sample.buffer, sample.byteOffset, sample.length), 0).key.peerPort);
    using ring = new RingBuffer(harness.datapath.eventsFd(), take);
    for (let port = 1; port <= 10; port++) workload.connectionTo(PEER, port).open();
    assert.deepEqual([ring.consume(0), ring.consume(4), [...ports]], [0, 4, [1, 2, 3, 4]]);
    assert.deepEqual([ring.consume(), ports], [6, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]);
  });
  it('counts what does not fit it, and what fits is whole', () => {
    const workload = harness.workload({});
    harness.events();
    const before = harness.datapath.counter(counter.eventsLost);
    const sent = Math.ceil(TABLE_BYTES / eventCodec.size);
    for (let port = 1; port <= sent; port++) workload.connectionTo(PEER, port).open();
    const lost = Number(harness.datapath.counter(counter.eventsLost) - before);
    const ports = workload.events().map(({ key }) => key.peerPort);
    assert.ok(lost > 0);
    assert.equal(ports.length + lost, sent);
    assert.deepEqual(
      ports,
      Array.from(ports, (_, i) => i + 1),
    );
  });
});
