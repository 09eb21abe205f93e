// Which packets pass a policy: the kernel programs themselves, packet by packet.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ACTION, DIRECTION, POLICY_COMMAND, PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { ip, TCP_FLAG, udp } from './packets.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const OTHER = '10.1.0.10';
const NOTHING = new Uint8Array();
const { ack, syn } = TCP_FLAG;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const toPeer = rule({ peer: PEER, ports: 'tcp/443' });
const fromPeer = rule({ direction: 'ingress', peer: PEER, ports: 'tcp/8080' });

/** The verdicts of a new connection out and a new one in. */
const bothWays = (workload: Workload) => [
  workload.connectionTo(PEER, 443).open(),
  workload.connectionFrom(PEER, 8080).open(),
];

describe('the default action', () => {
  it('is to pass everything where there is no policy', () => {
    assert.deepEqual(bothWays(harness.workload()), ['pass', 'pass']);
  });
  it('denies what no rule matches', () => {
    assert.deepEqual(bothWays(harness.workload({ defact: ACTION.deny })), ['drop', 'drop']);
  });
  it('allows what no rule matches', () => {
    assert.deepEqual(bothWays(harness.workload({ defact: ACTION.open })), ['pass', 'pass']);
  });
  it('is told from a rule by id 0', () => {
    const connection = harness.workload({ defact: ACTION.open }).connectionTo(PEER, 443);
    connection.open();
    assert.equal(connection.flow?.ruleId, 0);
  });
  it('is no longer applied once the whole policy is deleted', () => {
    const workload = harness.workload({ defact: ACTION.deny });
    workload.enforce({ cmd: POLICY_COMMAND.del });
    assert.deepEqual(bothWays(workload), ['pass', 'pass']);
  });
});

describe('dir', () => {
  const cases = [
    { dir: DIRECTION.ingress, says: '1 polices what is opened to the workload', verdicts: ['pass', 'drop'] },
    { dir: DIRECTION.egress, says: '2 polices what the workload opens', verdicts: ['drop', 'pass'] },
    { dir: DIRECTION.both, says: '3 polices both', verdicts: ['drop', 'drop'] },
  ] as const;
  for (const { dir, says, verdicts } of cases)
    it(says, () => assert.deepEqual(bothWays(harness.workload({ dir })), verdicts));

  it('leaves a deny rule of the direction that is not policed without effect', () => {
    const workload = harness.workload({ dir: DIRECTION.ingress, rules: [rule({ action: ACTION.deny })] });
    assert.equal(workload.connectionTo(PEER, 443).open(), 'pass');
  });
  it('lets the replies of connections of the other direction through', () => {
    const workload = harness.workload({ dir: DIRECTION.ingress });
    assert.equal(workload.connectionTo(PEER, 443).establish().say('server', 'hello'), 'pass');
  });
});

describe('the other side of an allowed connection', () => {
  it('replies', () => {
    const connection = harness
      .workload({ rules: [toPeer] })
      .connectionTo(PEER, 443)
      .establish();
    assert.equal(connection.say('server', 'hello'), 'pass');
    assert.equal(connection.say('client', 'hello'), 'pass');
  });
  it('replies to a connection that it was itself asked for', () => {
    const connection = harness
      .workload({ rules: [fromPeer] })
      .connectionFrom(PEER, 8080)
      .establish();
    assert.equal(connection.say('server', 'hello'), 'pass');
  });
  it('answers a datagram', () => {
    const workload = harness.workload({ rules: [rule({ peer: PEER, ports: 'udp/53' })] });
    const ports = { sourcePort: 40_000, destinationPort: 53 };
    assert.equal(workload.send(ip(workload.ends(PEER, 'out'), PROTOCOL.udp, udp(ports))), 'pass');
    const back = udp({ sourcePort: 53, destinationPort: 40_000 });
    assert.equal(workload.receive(ip(workload.ends(PEER, 'in'), PROTOCOL.udp, back)), 'pass');
    assert.equal(workload.receive(ip(workload.ends(OTHER, 'in'), PROTOCOL.udp, back)), 'drop');
  });
  it('of UDP may not speak again after three minutes of silence, and who opened it may', () => {
    const workload = harness.workload({ rules: [rule({ peer: PEER, ports: 'udp/53' })] });
    const out = ip(workload.ends(PEER, 'out'), PROTOCOL.udp, udp({ sourcePort: 40_000, destinationPort: 53 }));
    const back = ip(workload.ends(PEER, 'in'), PROTOCOL.udp, udp({ sourcePort: 53, destinationPort: 40_000 }));
    assert.deepEqual([workload.send(out), workload.receive(back)], ['pass', 'pass']);
    const flows = harness.datapath.flows();
    const [key, flow] = flows.entries().find(([{ endpoint }]) => endpoint === workload.id) ?? assert.fail();
    flows.set(key, { ...flow, lastSeen: flow.lastSeen - 200 });
    assert.deepEqual([workload.receive(back), workload.send(out), workload.receive(back)], ['drop', 'pass', 'pass']);
  });
  it('may not open one itself on the same ports', () => {
    const connection = harness
      .workload({ rules: [toPeer] })
      .connectionTo(PEER, 443)
      .establish();
    assert.equal(connection.packet('server', { flags: syn, sequence: 7, payload: NOTHING }), 'drop');
    assert.equal(connection.say('client', 'still open'), 'pass');
  });
  it('opens one of its own where a rule lets it', () => {
    const workload = harness.workload({ rules: [toPeer, rule({ id: 1002, direction: 'ingress', peer: PEER })] });
    const connection = workload.connectionTo(PEER, 443).establish();
    assert.equal(connection.packet('server', { flags: syn, sequence: 7, payload: NOTHING }), 'pass');
    assert.equal(connection.flow?.ruleId, 1002);
  });
  it('is not heard where the connection was denied', () => {
    const connection = harness.workload({}).connectionTo(PEER, 443);
    assert.equal(connection.open(), 'drop');
    assert.equal(connection.accept(), 'drop');
    assert.equal(connection.say('server', 'hello'), 'drop');
  });
});

describe('an unsolicited packet', () => {
  it('of UDP on the ports of an allowed service is denied', () => {
    const workload = harness.workload({ rules: [rule({ peer: PEER, ports: 'udp/53' })] });
    const ports = { sourcePort: 53, destinationPort: 40_000 };
    assert.equal(workload.receive(ip(workload.ends(PEER, 'in'), PROTOCOL.udp, udp(ports))), 'drop');
  });
  it('of TCP is taken for one of a connection that was open before, which its lower port serves', () => {
    const workload = harness.workload({ rules: [toPeer] });
    assert.equal(workload.connectionTo(PEER, 443).segment('client', ack), 'pass');
    assert.equal(workload.connectionTo(PEER, 443).segment('server', ack), 'pass');
    assert.equal(workload.connectionTo(PEER, 444).segment('client', ack), 'drop');
    assert.equal(workload.connectionFrom(PEER, 443).segment('client', ack), 'drop');
  });
  it('of TCP with SYN and ACK is one of a connection that the other side opened', () => {
    const workload = harness.workload({ rules: [toPeer] });
    assert.equal(workload.connectionTo(PEER, 443).accept(), 'pass');
    assert.equal(workload.connectionFrom(PEER, 443).accept(), 'drop');
  });
});

describe('a change of policy', () => {
  it('closes an open connection at its next packet', () => {
    const workload = harness.workload({ rules: [toPeer] });
    const connection = workload.connectionTo(PEER, 443).establish();
    workload.enforce({});
    assert.equal(connection.say('client', 'hello'), 'drop');
    assert.equal(connection.say('server', 'hello'), 'drop');
  });
  it('lets a denied connection through at its next packet', () => {
    const workload = harness.workload({});
    const connection = workload.connectionTo(PEER, 443);
    assert.equal(connection.open(), 'drop');
    workload.enforce({ rules: [toPeer] });
    assert.equal(connection.packet('client', { flags: syn, sequence: 1, payload: NOTHING }), 'pass');
    assert.equal(connection.flow?.ruleId, 1001);
  });
  it('closes a connection and lets it go on again', () => {
    const workload = harness.workload({ rules: [toPeer] });
    const connection = workload.connectionTo(PEER, 443).establish();
    workload.enforce({});
    assert.equal(connection.say('client', 'one'), 'drop');
    workload.enforce({ rules: [toPeer] });
    assert.equal(connection.say('client', 'two'), 'pass');
  });
  it('that gives a connection to another rule of the same action names that rule from then on', () => {
    const workload = harness.workload({ rules: [toPeer] });
    const connection = workload.connectionTo(PEER, 443).establish();
    workload.enforce({ rules: [{ ...toPeer, id: 1002 }] });
    assert.equal(connection.say('client', 'hello'), 'pass');
    assert.equal(connection.flow?.ruleId, 1002);
  });
  it('changes nothing of another workload', () => {
    const [changed, other] = [harness.workload({ rules: [toPeer] }), harness.workload({ rules: [toPeer] })];
    const connection = other.connectionTo(PEER, 443).establish();
    changed.enforce({});
    assert.equal(connection.say('client', 'hello'), 'pass');
  });
  it('of some rules keeps the others', () => {
    const workload = harness.workload({ rules: [toPeer, rule({ id: 1002, peer: OTHER, ports: 'tcp/443' })] });
    workload.enforce({ cmd: POLICY_COMMAND.mod, rules: [{ ...toPeer, action: ACTION.deny }] });
    assert.equal(workload.connectionTo(PEER, 443).open(), 'drop');
    assert.equal(workload.connectionTo(OTHER, 443).open(), 'pass');
    workload.enforce({ cmd: POLICY_COMMAND.del, rules: [toPeer] });
    assert.equal(workload.connectionTo(PEER, 443).open(), 'drop');
    assert.equal(workload.connectionTo(OTHER, 443).open(), 'pass');
  });
});

describe('the action', () => {
  it('LEARN passes and reports nothing', () => {
    const workload = harness.workload({ rules: [rule({ action: ACTION.learn })] });
    const connection = workload.connectionTo(PEER, 443).establish();
    assert.equal(connection.say('client', 'hello'), 'pass');
    assert.deepEqual(workload.events(), []);
    assert.equal(connection.flow?.ruleId, 1001);
  });
  it('VIOLATE passes and reports the connection once', () => {
    const workload = harness.workload({ rules: [rule({ action: ACTION.violate })] });
    workload.connectionTo(PEER, 443).establish().say('client', 'hello');
    const [event, ...others] = workload.events();
    assert.deepEqual([event?.action, event?.ruleId, event?.passed], [ACTION.violate, 1001, 1]);
    assert.deepEqual(others, []);
  });
  it('LEARN as the default action passes', () => {
    assert.deepEqual(bothWays(harness.workload({ defact: ACTION.learn })), ['pass', 'pass']);
  });
  it('VIOLATE as the default action passes and reports', () => {
    const workload = harness.workload({ defact: ACTION.violate });
    assert.deepEqual(bothWays(workload), ['pass', 'pass']);
    assert.equal(workload.events().length, 2);
  });
});

describe('tap', () => {
  it('drops nothing, and reports what would be dropped', () => {
    const workload = harness.workload({});
    workload.configure({ tap: true });
    const connection = workload.connectionTo(PEER, 443).establish();
    assert.equal(connection.say('client', 'hello'), 'pass');
    const [event, ...others] = workload.events();
    assert.deepEqual([event?.action, event?.ruleId, event?.passed], [ACTION.violate, 0, 1]);
    assert.deepEqual(others, []);
  });
  it('reaches a connection that was denied before, and leaves it again', () => {
    const workload = harness.workload({});
    const connection = workload.connectionTo(PEER, 443);
    assert.equal(connection.open(), 'drop');
    workload.configure({ tap: true });
    assert.equal(connection.segment('client', ack), 'pass');
    workload.configure({ tap: false });
    assert.equal(connection.segment('client', ack), 'drop');
  });
  it('survives a new policy', () => {
    const workload = harness.workload({});
    workload.configure({ tap: true });
    workload.enforce({ rules: [rule({ action: ACTION.deny })] });
    assert.deepEqual(bothWays(workload), ['pass', 'pass']);
  });
});
