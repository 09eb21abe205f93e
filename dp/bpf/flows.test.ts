// What the kernel remembers of a flow, and for how long: the kernel programs themselves, packet by packet.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { type Flow, type FlowKey, TICK_SHIFT } from '../kernel/abi.gen.ts';
import { ACTION, POLICY_COMMAND, PROTOCOL } from '../protocol/values.ts';
import type { Connection } from './connection.ts';
import { Harness, type Workload } from './harness.ts';
import { ip, udp } from './packets.ts';
import { firstPayload } from './payloads.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const HEADERS = 14 + 20 + 8;
const SECONDS_PER_TICK = 2 ** TICK_SHIFT / 1e9;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const flowsOf = (workload: Workload): [FlowKey, Flow][] =>
  harness.datapath
    .flows()
    .entries()
    .filter(([{ endpoint }]) => endpoint === workload.id);

function onlyFlowOf(workload: Workload): [FlowKey, Flow] {
  const [one, ...others] = flowsOf(workload);
  assert.deepEqual(others, []);
  return one ?? assert.fail('no flow');
}

const hitsOf = (workload: Workload): Record<number, number> =>
  Object.fromEntries(
    harness.datapath.hits
      .entries()
      .filter(([{ endpoint }]) => endpoint === workload.id)
      .map(([{ ruleId }, { hits }]) => [ruleId, Number(hits)]),
  );

/** As if the workload’s only flow had had no packet for this long. */
function beIdle(workload: Workload, seconds: number): void {
  const [key, flow] = onlyFlowOf(workload);
  const ticks = Math.ceil(seconds / SECONDS_PER_TICK);
  harness.datapath.flows().set(key, { ...flow, firstSeen: flow.firstSeen - ticks, lastSeen: flow.lastSeen - ticks });
}

describe('datagrams of one side alone', () => {
  for (const side of ['out', 'in'] as const) {
    const direction = side === 'out' ? 'egress' : 'ingress';
    const start = () => {
      const workload = harness.workload({ rules: [rule({ direction, ports: 'udp/5000' })] });
      const say = (way: 'out' | 'in') => {
        const [client, server] = [
          { sourcePort: 4000, destinationPort: 5000 },
          { sourcePort: 5000, destinationPort: 4000 },
        ];
        const frame = ip(
          workload.ends(PEER, way),
          PROTOCOL.udp,
          udp(way === side ? client : server, Buffer.alloc(100)),
        );
        return way === 'out' ? workload.send(frame) : workload.receive(frame);
      };
      return { workload, ask: () => say(side), answer: () => say(side === 'out' ? 'in' : 'out') };
    };
    const own = side === 'out' ? 0 : 1;

    it(`are one flow, however many: ${side}`, () => {
      const { workload, ask } = start();
      for (let times = 0; times < 100; times++) assert.equal(ask(), 'pass');
      const [, { sides }] = onlyFlowOf(workload);
      assert.deepEqual(sides[own], { packets: 100n, bytes: BigInt(100 * (HEADERS + 100)) });
      assert.deepEqual(sides[1 - own], { packets: 0n, bytes: 0n });
      assert.deepEqual(hitsOf(workload), { 1001: 1 });
    });
    it(`may be answered after a silence of less than three minutes, and not after more: ${side}`, () => {
      const { workload, ask, answer } = start();
      ask();
      beIdle(workload, 178);
      assert.equal(answer(), 'pass');
      beIdle(workload, 182);
      assert.equal(answer(), 'drop');
    });
    it(`are another flow after three minutes of silence: ${side}`, () => {
      const { workload, ask } = start();
      ask();
      beIdle(workload, 182);
      assert.equal(ask(), 'pass');
      assert.equal(onlyFlowOf(workload)[1].sides[own]?.packets, 1n);
      assert.deepEqual(hitsOf(workload), { 1001: 2 });
    });
  }
});

describe('a policy for several MACs', () => {
  it('is in force for each of them, and changes for each', () => {
    const workloads = [harness.workload(), harness.workload(), harness.workload()];
    const [first = assert.fail(), ...others] = workloads;
    const mac = workloads.map((workload) => workload.mac);
    const verdicts = () => workloads.map((workload) => workload.connectionTo(PEER, 443).open());
    first.enforce({ mac, rules: [rule({ ports: 'tcp/443' })] });
    assert.deepEqual(verdicts(), ['pass', 'pass', 'pass']);
    const indexes = new Set(
      harness.engine.workloads
        .all()
        .filter((one) => mac.includes(one.mac))
        .map(({ state }) => state.policy),
    );
    assert.equal(indexes.size, 1, 'they share one copy in the kernel');
    first.enforce({
      mac: mac.slice(1),
      cmd: POLICY_COMMAND.mod,
      rules: [rule({ ports: 'tcp/443', action: ACTION.deny })],
    });
    assert.deepEqual(verdicts(), ['pass', 'drop', 'drop']);
    others[0]?.enforce({ cmd: POLICY_COMMAND.del });
    assert.deepEqual(verdicts(), ['pass', 'pass', 'drop']);
  });
});

describe('a change of one rule', () => {
  const PORTS = Array.from({ length: 40 }, (_, i) => 8000 + i);
  const rules = PORTS.map((port, i) =>
    rule({ id: 1001 + i, ports: `tcp/${port}`, ...(i % 2 ? { apps: { HTTPS: ACTION.open } } : {}) }),
  );

  it('disturbs no connection whose verdict stays the same', () => {
    const workload = harness.workload({ rules });
    const connections = PORTS.map((port) => workload.connectionTo(PEER, port).establish());
    for (const connection of connections) connection.say('client', firstPayload('HTTPS'));
    const lasting = ({
      flow: { application, direction, firstSeen, name, ruleId, start, sides } = assert.fail(),
    }: Connection) => ({
      sides,
      known: { application, direction, firstSeen, name, ruleId, start },
    });
    const before = connections.map(lasting);
    const hits = hitsOf(workload);
    for (const [i, changed] of rules.slice(0, 10).entries()) {
      const action = ACTION.deny;
      const apps = changed.apps?.map((app) => ({ ...app, action }));
      workload.enforce({ cmd: POLICY_COMMAND.mod, rules: [{ ...changed, action, ...(apps ? { apps } : {}) }] });
      for (const [j, connection] of connections.entries())
        assert.equal(connection.say('server', 'more'), j <= i ? 'drop' : 'pass', `change ${i}, connection ${j}`);
    }
    for (const [i, connection] of connections.entries()) {
      if (i < 10) continue;
      const was = before[i] ?? assert.fail();
      const { known, sides } = lasting(connection);
      assert.deepEqual(known, was.known);
      assert.deepEqual(sides[0], was.sides[0]);
      assert.equal(sides[1]?.packets, (was.sides[1]?.packets ?? 0n) + 10n);
    }
    const changedHits = hitsOf(workload);
    for (const { id } of rules.slice(10)) assert.equal(changedHits[id], hits[id], `hits of rule ${id}`);
    const reported = workload.events().map(({ key }) => key.peerPort);
    assert.deepEqual([...new Set(reported)], PORTS.slice(0, 10));
  });
});
