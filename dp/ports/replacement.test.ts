// A port that is told again, for another workload or with another queue: it changes as a whole, or stays what it was.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, describe, it } from 'node:test';
import { Harness } from '../bpf/harness.ts';
import type { Command } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { QueueSocket } from '../queue/queue-socket.ts';
import type { Port } from './ports.ts';

/** Of the harness's own workloads, their interface, and two workloads on ports with an interface each. */
const ENDPOINTS = 255 + 1 + 2 * 2;
const harness = new Harness({ endpoints: ENDPOINTS });
after(() => harness[Symbol.dispose]());
const { datapath, engine } = harness;
after(() => engine[Symbol.dispose]());

const NETNS = `podwall-ports-${process.pid}`;
const NETNS_PATH = `/run/netns/${NETNS}`;
execFileSync('ip', ['netns', 'add', NETNS]);
after(() => execFileSync('ip', ['netns', 'delete', NETNS]));
execFileSync('ip', ['-n', NETNS, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1']);

const [FIRST, SECOND] = ['02:00:00:00:02:01', '02:00:00:00:02:02'];
const [QUEUE, TAKEN_QUEUE, OTHER_QUEUE] = [7, 8, 9];
const tap = (epmac: string): Command => ({
  name: 'ctrl_add_tap_port',
  body: { netns: NETNS_PATH, iface: 'eth0', epmac },
});
const queue = (epmac: string, qnum: number): Command => ({
  name: 'ctrl_add_nfq_port',
  body: { netns: NETNS_PATH, iface: 'eth1', epmac, qnum },
});

const chains = (): string[] =>
  execFileSync('nsenter', [`--net=${NETNS_PATH}`, '--', 'iptables', '-t', 'mangle', '-S'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('PODWALL'));

/** All that a port is: here, in the kernel, and in the namespace. */
const state = (): object => ({
  ports: engine.ports.all(),
  kernelPorts: new Set(datapath.ports.entries()),
  watched: datapath.watching.attached().sort(),
  open: engine.ports.all().map((port) => engine.queues.status(port)),
  chains: chains(),
  endpoints: datapath.endpoints.entries().length,
  workloads: engine.workloads
    .all()
    .filter(({ port }) => port)
    .map(({ mac, ifindex, state: { id, policy, tap: bits } }) => [mac, ifindex, id, policy, bits]),
});

function refused(command: Command, text: RegExp): void {
  const before = state();
  const isRight = (error: unknown) => error instanceof CommandError && text.test(error.message);
  assert.throws(() => engine.carryOut(command), isRight);
  assert.deepEqual(state(), before);
}

const portOf = (kind: Port['kind'], iface: string): Port =>
  engine.ports.find(kind, NETNS_PATH, iface) ?? assert.fail(`no ${kind} port ${iface}`);
const macsOn = ({ id }: Port): string[] => engine.workloads.on(id).map(({ mac }) => mac);

describe('a watched interface', () => {
  it('stays the first workload’s where there is no room for the next', () => {
    engine.carryOut(tap(FIRST));
    engine.carryOut(queue(FIRST, QUEUE));
    refused(tap(SECOND), /^ctrl_add_tap_port: 261 workloads and interfaces of workloads; at most 260 fit/);
  });
  it('becomes the next one’s, and stays watched', () => {
    for (const { mac } of engine.workloads.on(1).slice(-4)) engine.workloads.remove(mac, 1);
    const before = portOf('tap', 'eth0');
    engine.carryOut(tap(SECOND));
    assert.deepEqual(portOf('tap', 'eth0'), before);
    assert.deepEqual(macsOn(before), [SECOND]);
    assert.deepEqual([...new Set(datapath.watching.attached())], [before.id]);
  });
});

describe('a queue', () => {
  it('stays what it was where another process reads the one that is to take its place', () => {
    using _other = new QueueSocket({ ...portOf('queue', 'eth1'), queue: TAKEN_QUEUE });
    for (const mac of [FIRST, SECOND]) refused(queue(mac, TAKEN_QUEUE), /another process reads queue 8 there/);
  });
  it('becomes the next workload’s, with another number or the same', () => {
    for (const [mac, number] of [
      [SECOND, OTHER_QUEUE],
      [FIRST, OTHER_QUEUE],
    ] as const) {
      engine.carryOut(queue(mac, number));
      const port = portOf('queue', 'eth1');
      assert.deepEqual([port.queue, macsOn(port)], [number, [mac]]);
      assert.ok(engine.queues.status(port));
      assert.ok(chains().length > 0 && chains().every((line) => line.includes(`PODWALL-NFQ-${number}`)));
    }
  });
});
