// Connections as the agent is told of them, from packets that the kernel programs counted.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Harness, type Workload } from '../bpf/harness.ts';
import { ip, TCP_FLAG, udp } from '../bpf/packets.ts';
import { firstPayload } from '../bpf/payloads.ts';
import { rule } from '../bpf/rules.ts';
import { ETHER_TYPE, unpackAddress } from '../protocol/address.ts';
import { APPLICATION } from '../protocol/applications.ts';
import { CONNECTION_FLAG, type Connection, decodeReport, encodeReport } from '../protocol/reports.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import { Connections } from './connections.ts';

const PEER = '10.1.0.9';
const HEADERS = 54;

const harness = new Harness();
after(() => harness[Symbol.dispose]());
const connections = new Connections([harness.datapath], harness.engine.workloads, harness.engine.networks);

/** Of a workload, as an agent reads them. */
function reportedOf(workload: Workload): Connection[] {
  const { reports, leftOut } = connections.collect();
  assert.equal(leftOut, 0);
  return reports
    .map((report) => decodeReport(encodeReport(report, 1)).report)
    .flatMap((report) => (report.kind === 'connection' ? report.connections : []))
    .filter(({ mac }) => mac === workload.mac);
}
const ends = ({ etherType, client, server, clientPort, serverPort }: Connection) =>
  `${unpackAddress(etherType, client)} ${clientPort} > ${unpackAddress(etherType, server)} ${serverPort}`;

describe('a connection is reported', () => {
  it('with its ends, its rule and application, and what each side has sent', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, ports: 'tcp/443', apps: { HTTPS: ACTION.open } })] });
    const hello = firstPayload('HTTPS');
    const connection = workload.connectionTo(PEER, 443).establish();
    connection.say('client', hello);
    const [reported = assert.fail(), ...others] = reportedOf(workload);
    assert.deepEqual(others, []);
    assert.equal(ends(reported), `10.0.0.5 ${connection.key.localPort} > 10.1.0.9 443`);
    const { ipProtocol, flags, action, application, ruleId, revision, firstSeenAt, lastSeenAt } = reported;
    assert.deepEqual(
      { ipProtocol, flags, action, application, ruleId, revision },
      {
        ipProtocol: PROTOCOL.tcp,
        flags: 0,
        action: ACTION.open,
        application: APPLICATION.HTTPS,
        ruleId: 1234,
        revision: 2,
      },
    );
    assert.deepEqual([reported.clientPackets, reported.clientBytes], [3n, BigInt(3 * HEADERS + hello.length)]);
    assert.deepEqual([reported.serverPackets, reported.serverBytes], [1n, BigInt(HEADERS)]);
    assert.ok(firstSeenAt <= lastSeenAt && Math.abs(lastSeenAt - Date.now() / 1000) < 60);
  });
  it('from the client’s side also where that is the peer', () => {
    const workload = harness.workload();
    const connection = workload.connectionFrom('fd01::9', 8080).establish();
    connection.say('server', 'hello');
    const [reported = assert.fail()] = reportedOf(workload);
    assert.equal(ends(reported), `fd01::9 ${connection.key.peerPort} > fd00::5 8080`);
    assert.equal(reported.flags, CONNECTION_FLAG.ingress);
    assert.deepEqual([reported.clientPackets, reported.serverPackets], [2n, 2n]);
  });
  it('as open while its application, and so its rule, is not known', () => {
    const workload = harness.workload({ rules: [rule({ apps: { HTTP: ACTION.deny } })] });
    workload.connectionTo(PEER, 80).establish();
    const [reported = assert.fail()] = reportedOf(workload);
    assert.deepEqual([reported.action, reported.ruleId, reported.application], [ACTION.open, 0, 0]);
  });
  it('as a violation where a rule says so', () => {
    const workload = harness.workload({ rules: [rule({ id: 1234, action: ACTION.violate })] });
    workload.connectionTo(PEER, 80).establish();
    const [reported = assert.fail()] = reportedOf(workload);
    assert.deepEqual([reported.action, reported.flags], [ACTION.violate, CONNECTION_FLAG.violation]);
  });
  it('as one that is learned', () => {
    const workload = harness.workload({ defact: ACTION.learn });
    workload.connectionTo(PEER, 80).establish();
    const [reported = assert.fail()] = reportedOf(workload);
    assert.deepEqual([reported.action, reported.ruleId], [ACTION.learn, 0]);
  });
  const ways: readonly [says: string, end: readonly ['client' | 'server', number][]][] = [
    [
      'by both sides',
      [
        ['client', TCP_FLAG.fin | TCP_FLAG.ack],
        ['server', TCP_FLAG.fin | TCP_FLAG.ack],
      ],
    ],
    ['by a reset', [['server', TCP_FLAG.rst]]],
  ];
  for (const [says, segments] of ways)
    it(`as closed once it was ended ${says}`, () => {
      const workload = harness.workload();
      const connection = workload.connectionTo(PEER, 80).establish();
      for (const [side, flags] of segments) connection.segment(side, flags);
      const [reported = assert.fail()] = reportedOf(workload);
      assert.equal(reported.flags, CONNECTION_FLAG.closed);
    });
  it('as open while one side alone has ended', () => {
    const workload = harness.workload();
    const connection = workload.connectionTo(PEER, 80).establish();
    connection.segment('client', TCP_FLAG.fin | TCP_FLAG.ack);
    assert.equal(reportedOf(workload)[0]?.flags, 0);
  });
  it('of UDP too', () => {
    const workload = harness.workload();
    const ports = { sourcePort: 4000, destinationPort: 53 };
    workload.send(ip(workload.ends(PEER, 'out'), PROTOCOL.udp, udp(ports)));
    const [reported = assert.fail()] = reportedOf(workload);
    assert.equal(ends(reported), '10.0.0.5 4000 > 10.1.0.9 53');
    assert.deepEqual([reported.ipProtocol, reported.etherType], [PROTOCOL.udp, ETHER_TYPE.ipv4]);
  });
  it('by a dp that was started after its last packet', () => {
    const workload = harness.workload();
    workload.connectionTo(PEER, 80).establish();
    const next = new Connections([harness.datapath], harness.engine.workloads, harness.engine.networks);
    const { reports } = next.collect();
    const all = reports.flatMap((report) => (report.kind === 'connection' ? report.connections : []));
    assert.deepEqual(
      all
        .filter(({ mac }) => mac === workload.mac)
        .map(({ clientPackets, serverPackets }) => [clientPackets, serverPackets]),
      [[2n, 1n]],
    );
  });
  it('never where it was denied', () => {
    const workload = harness.workload({});
    workload.connectionTo(PEER, 80).open();
    assert.deepEqual(reportedOf(workload), []);
  });
});

describe('many connections', () => {
  it('are cut into reports that fit a datagram, and none is left out or told twice', () => {
    const workload = harness.workload();
    const count = 3000;
    for (let port = 1; port <= count; port++) workload.sendUdp(PEER, port);
    const ports = reportedOf(workload).map(({ serverPort }) => serverPort);
    assert.deepEqual(
      ports.toSorted((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i + 1),
    );
  });
});

describe('connections beyond what one collection takes', () => {
  it('are left out and counted, over all tables', () => {
    harness.workload().connectionTo(PEER, 80).establish();
    const rooms: number[] = [];
    const source = {
      flowsSince: (tick: number, room: number) => {
        rooms.push(room);
        return { flows: harness.datapath.flowsSince(tick, room).flows.slice(0, 1), leftOut: 7 };
      },
    };
    const { workloads, networks } = harness.engine;
    const { reports, leftOut } = new Connections([source, source], workloads, networks).collect();
    assert.deepEqual([rooms[0], leftOut], [20_000, 14]);
    assert.equal(rooms[1], 19_999);
    assert.equal(reports.flatMap((report) => (report.kind === 'connection' ? report.connections : [])).length, 2);
  });

  it('of a table are not even read', () => {
    const workload = harness.workload();
    for (let port = 0; port < 5; port++) workload.connectionTo(PEER, 8000 + port).establish();
    const { flows, leftOut } = harness.datapath.flowsSince(0, 3);
    assert.equal(flows.length, 3);
    assert.equal(leftOut, harness.datapath.flowCount - 3);
  });
});
