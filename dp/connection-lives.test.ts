// How real TCP connections begin, end, begin again on the same ports, and what their packets are on the way.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { basename } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { firstPayload } from './bpf/payloads.ts';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, policy } from './lab/commands.ts';
import { flowFrom } from './lab/flow-table.ts';
import { Lab } from './lab/lab.ts';
import type { Role, TcpPair } from './lab/tcp.ts';
import type { PolicyRule } from './protocol/commands.ts';
import { CONNECTION_FLAG, type Connection } from './protocol/reports.ts';
import { ACTION } from './protocol/values.ts';

const PORT = 6000;
const HTTPS = firstPayload('HTTPS').toString('latin1');
const HTTP = 'GET / HTTP/1.1\r\n\r\n';
/** Of a frame in the middle of a connection: Ethernet, IPv4, TCP with timestamps. */
const HEADER_BYTES = 14 + 20 + 32;

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
let agent: Agent;
let tcp: TcpPair;
before(async () => {
  await lab.start();
  agent = lab.agent();
  tcp = lab.tcp();
  for (const role of ['workload', 'host'] as const) await tcp.listen(role, PORT);
  await agent.send(ADD_MAC);
});

const other = (role: Role): Role => (role === 'workload' ? 'host' : 'workload');
const enforce = (...rules: readonly PolicyRule[]) => agent.ask(policy(rules), 'policyRealized');
const BOTH_WAYS = (['egress', 'ingress'] as const).map((direction, i) =>
  rule({ id: 1001 + i, direction, ports: `tcp/${PORT}` }),
);
const httpsOnly = BOTH_WAYS.map((one) => ({ ...one, apps: [{ app: 101, action: ACTION.open, rid: one.id }] }));

let ports = 20_000;
function nextPort(): number {
  ports += 1;
  return ports;
}

/** Waits until each of these connections is reported as is wanted; answers those reports. */
async function reported(clientPorts: readonly number[], isWanted: (connection: Connection) => boolean) {
  const found = new Map<number, Connection>();
  await agent.next('connection', ({ connections }) => {
    for (const one of connections)
      if (clientPorts.includes(one.clientPort) && isWanted(one)) found.set(one.clientPort, one);
    return found.size === clientPorts.length;
  });
  return [...found.values()];
}

describe('a connection of which one side has ended', () => {
  it('goes on for the other, and is reported as closed only with it', async () => {
    await enforce(...BOTH_WAYS);
    const halves = (['workload', 'host'] as const).map((client) => ({ client, from: nextPort() }));
    const all = halves.map(({ from }) => from);
    for (const { client, from } of halves) {
      await tcp.open(client, from, PORT);
      await tcp.passes(client, from);
      await tcp.end(client, from);
      for (let times = 0; times < 200; times++) await tcp.say(other(client), from, 'x'.repeat(1000));
      await tcp.passes(other(client), from);
    }
    for (const half of await reported(all, ({ serverBytes }) => serverBytes >= 200_000n))
      assert.equal(half.flags & CONNECTION_FLAG.closed, 0);
    for (const { client, from } of halves) await tcp.end(other(client), from);
    await reported(all, ({ flags }) => (flags & CONNECTION_FLAG.closed) !== 0);
  });
  it('is cut by a policy like any other', async () => {
    await enforce(...BOTH_WAYS);
    const from = nextPort();
    await tcp.open('workload', from, PORT);
    await tcp.end('workload', from);
    await tcp.passes('host', from);
    await enforce();
    assert.ok(await tcp.isCut('host', from));
  });
});

describe('a connection on the ports of one before it', () => {
  const ways: Readonly<Record<string, (client: Role, from: number) => Promise<void>>> = {
    'was reset': async (client, from) => {
      await tcp.abort(client, from);
      await tcp.hasClosed(other(client), from);
    },
    'ended, and whose server waits for what may come late': async (client, from) => {
      await tcp.end(other(client), from);
      await tcp.end(client, from);
      await tcp.hasClosed(client, from);
    },
  };
  for (const client of ['workload', 'host'] as const)
    for (const [way, end] of Object.entries(ways))
      it(`that ${way} is another: opened by the ${client}`, async () => {
        await enforce(...httpsOnly);
        const from = nextPort();
        await tcp.open(client, from, PORT);
        await tcp.passes(client, from, HTTPS);
        await end(client, from);
        const before = flowFrom(lab, from) ?? assert.fail();
        await tcp.open(client, from, PORT);
        const opened = flowFrom(lab, from) ?? assert.fail();
        assert.deepEqual([before.application !== 0, opened.application], [true, 0]);
        for (const { packets } of opened.sides) assert.ok(packets <= 2n, 'it is counted from its own beginning');
        assert.ok(await tcp.isCut(client, from, HTTP));
      });
});

describe('packets larger than the interface lets through, which it cuts on its way', () => {
  const sentBy = (namespace: string): number => {
    const words = ['-n', basename(namespace), '-s', '-j', 'link', 'show', 'eth0'];
    return JSON.parse(execFileSync('ip', words, { encoding: 'utf8' }))[0].stats64.tx.packets;
  };
  it('are counted as what they are on the wire', async () => {
    await enforce(...BOTH_WAYS);
    const from = nextPort();
    const bytes = 4_000_000;
    await tcp.open('workload', from, PORT);
    const before = sentBy(lab.pod);
    await tcp.passes('workload', from, 'x'.repeat(bytes));
    const frames = sentBy(lab.pod) - before;
    const { sides } = flowFrom(lab, from) ?? assert.fail();
    const [out] = sides;
    const packets = Number(out?.packets);
    assert.ok(frames < packets / 2, `${frames} frames, counted as ${packets} packets`);
    assert.ok(packets >= bytes / (lab.mtu - 52), `${packets} packets`);
    // Not exactly: what is sent again on a busy machine counts too.
    assert.ok(Number(out?.bytes) >= bytes + packets * HEADER_BYTES, `${out?.bytes} bytes`);
  });
  it('tell their application', async () => {
    await enforce(...httpsOnly);
    for (const client of ['workload', 'host'] as const) {
      const [good, bad] = [nextPort(), nextPort()];
      for (const from of [good, bad]) await tcp.open(client, from, PORT);
      await tcp.passes(client, good, HTTPS.padEnd(60_000, 'x'));
      assert.ok(await tcp.isCut(client, bad, HTTP.padEnd(60_000, 'x')));
    }
  });
});

describe('a change of policy', () => {
  it('cuts an open connection at its next packet, and lets it go on when it is allowed again', async () => {
    await enforce(...BOTH_WAYS);
    const from = nextPort();
    await tcp.open('workload', from, PORT);
    await tcp.passes('workload', from);
    await enforce();
    assert.ok(await tcp.isCut('workload', from, 'while it is denied;'));
    assert.ok(await tcp.isCut('host', from));
    await enforce(...BOTH_WAYS);
    await tcp.passes('workload', from, 'and then;');
    assert.ok(tcp.heard('host', from).endsWith('while it is denied;and then;'), 'nothing is missing');
  });
  it('lets the next try of a connection through that was denied', async () => {
    await enforce();
    const from = nextPort();
    const opening = tcp.open('workload', from, PORT);
    await agent.next('threatLog', ({ threat }) => threat.sourcePort === from);
    await enforce(...BOTH_WAYS);
    await opening;
    await tcp.passes('workload', from);
  });
});
