// What a narrow allowance must not let through beside what it names.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { icmp, ip, TCP_FLAG, tcp, udp } from './packets.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const STRANGER = '8.8.8.8';
const GRE = 47;
const TRIES = 20;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const times = <T>(run: (i: number) => T): T[] => Array.from({ length: TRIES }, (_, i) => run(i));

describe('an ICMP error that the workload sends', () => {
  const quotedBytes = new Uint8Array(1000).fill(0x41);
  const talking = (): { workload: Workload; quoted: Uint8Array } => {
    const workload = harness.workload({ rules: [rule({ direction: 'ingress', peer: PEER, ports: 'udp/53' })] });
    const frame = ip(
      workload.ends(PEER, 'in'),
      PROTOCOL.udp,
      udp({ sourcePort: 53_000, destinationPort: 53 }, quotedBytes),
    );
    assert.equal(workload.receive(frame), 'pass');
    return { workload, quoted: frame.subarray(14) };
  };
  const unreachableTo = (workload: Workload, peer: string, quoted: Uint8Array) =>
    workload.send(ip(workload.ends(peer, 'out'), PROTOCOL.icmp, icmp(3, 3, 0, quoted)));

  it('goes to who sent the packet that it quotes', () => {
    const { workload, quoted } = talking();
    assert.equal(unreachableTo(workload, PEER, quoted), 'pass');
  });
  it('goes to nobody else', () => {
    const { workload, quoted } = talking();
    assert.equal(unreachableTo(workload, STRANGER, quoted), 'drop');
  });
  it('goes nowhere once the connection is no longer allowed', () => {
    const { workload, quoted } = talking();
    workload.enforce({ rules: [] });
    assert.equal(unreachableTo(workload, PEER, quoted), 'drop');
  });
  it('of a type that IPv6 does not have is judged by the rules', () => {
    const workload = harness.workload({ rules: [] });
    const frame = ip(workload.ends('fd01::9', 'out'), PROTOCOL.icmpv6, icmp(100, 0, 0, quotedBytes));
    assert.equal(workload.send(frame), 'drop');
  });
});

describe('a rule with an application and no ports', () => {
  const rules = [
    { says: 'that allows', apps: { HTTP: ACTION.open } },
    { says: 'that denies', apps: { Telnet: ACTION.deny } },
  ] as const;
  for (const { says, apps } of rules) {
    it(`${says} lets no echo pass`, () => {
      const workload = harness.workload({ rules: [rule({ apps })] });
      const echoes = times((i) =>
        workload.send(ip(workload.ends(PEER, 'out'), PROTOCOL.icmp, icmp(8, 0, (7 << 16) | i))),
      );
      assert.deepEqual(new Set(echoes), new Set(['drop']));
    });
    it(`${says} lets no protocol pass that has no ports`, () => {
      const workload = harness.workload({ rules: [rule({ apps })] });
      const frames = times(() => workload.send(ip(workload.ends(PEER, 'out'), GRE, new Uint8Array(100))));
      assert.deepEqual(new Set(frames), new Set(['drop']));
    });
  }
});

describe('datagrams under a rule for DNS alone', () => {
  const allowingDns = () => harness.workload({ rules: [rule({ ports: 'udp/53', apps: { DNS: ACTION.open } })] });

  it('are dropped from the first one that is not DNS, also with no answer', () => {
    const workload = allowingDns();
    const ports = { sourcePort: 40_000, destinationPort: 53 };
    const payload = new Uint8Array(1200).fill(0x41);
    const verdicts = times(() => workload.send(ip(workload.ends(PEER, 'out'), PROTOCOL.udp, udp(ports, payload))));
    assert.deepEqual(new Set(verdicts), new Set(['drop']));
    const hits = harness.datapath.hits.entries().filter(([{ endpoint }]) => endpoint === workload.id);
    assert.deepEqual(
      hits.map(([, count]) => count.hits),
      [1n],
      'tried again and again, they are one hit',
    );
  });
});

describe('IPv6 ranges beside the block that IPv4 lies in', () => {
  for (const peer of ['::-::ffff:ffff:ffff', '::fffe:0:0-::ffff:ffff:ffff', '::ffff:0:0-::1:0:0:0'])
    it(`do not match IPv4: ${peer}`, () => {
      const workload = harness.workload({ rules: [rule({ peer, family: 6 })] });
      const syn = tcp({ sourcePort: 40_000, destinationPort: 443, flags: TCP_FLAG.syn });
      assert.equal(workload.send(ip(workload.ends(STRANGER, 'out'), PROTOCOL.tcp, syn)), 'drop');
    });
});

describe('a connection that was open before it was first seen', () => {
  const midway = (workload: Workload) =>
    workload.send(
      ip(
        workload.ends(PEER, 'out'),
        PROTOCOL.tcp,
        tcp({ sourcePort: 40_000, destinationPort: 443, flags: TCP_FLAG.ack, payload: new Uint8Array(100) }),
      ),
    );
  it('goes on where a rule allows its application', () => {
    const workload = harness.workload({ rules: [rule({ ports: 'tcp/443', apps: { HTTPS: ACTION.open } })] });
    assert.equal(midway(workload), 'pass');
  });
  it('does not escape a rule that denies an application', () => {
    const rules = [rule({ id: 1, ports: 'tcp/443', apps: { HTTP: ACTION.deny } }), rule({ id: 2, ports: 'tcp/443' })];
    assert.equal(midway(harness.workload({ rules })), 'drop');
  });
});
