// A table of flows that is too small by far, filled from two CPUs at once, while connections that may pass and such that
// may not go on: real traffic.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { firstPayload } from './bpf/payloads.ts';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, policy } from './lab/commands.ts';
import { flood } from './lab/flood.ts';
import { known } from './lab/flow-table.ts';
import { HOST, Lab, WORKLOAD } from './lab/lab.ts';
import type { TcpPair } from './lab/tcp.ts';
import { ACTION } from './protocol/values.ts';

const ROOM = 4096;
const PORTS = { plain: 6000, https: 6001, closed: 6002 } as const;
/** Ports of the clients. The quiet ones say nothing meanwhile. */
const FROM = { plain: 20_000, https: 20_001, otherThanHttps: 20_002, closed: 20_003 } as const;
const QUIET = { plain: 20_004, https: 20_005 } as const;
const HTTPS = firstPayload('HTTPS').toString('latin1');
const FLOOD_RULE = 1003;
/** Of each CPU: to ports that a rule allows, and to such that none does. */
const ALLOWED = { first: 20_000, last: 23_999, sources: 5 } as const;
const DENIED = { first: 10_000, last: 11_999, sources: 5 } as const;
const FLOODED = 2 * 4000 * 5;

const RULES = [
  rule({ id: 1001, ports: `tcp/${PORTS.plain}` }),
  rule({ id: 1002, ports: `tcp/${PORTS.https}`, apps: { HTTPS: ACTION.open } }),
  rule({ id: FLOOD_RULE, ports: 'udp/20000-30000' }),
];

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
let agent: Agent;
let tcp: TcpPair;
before(async () => {
  await lab.start('--flows', String(ROOM));
  agent = lab.agent();
  tcp = lab.tcp();
  for (const port of Object.values(PORTS)) await tcp.listen('host', port);
  await agent.send(ADD_MAC);
  await agent.ask(policy([...RULES, rule({ id: 1004, ports: `tcp/${PORTS.closed}` })]), 'policyRealized');
  for (const { plain, https } of [FROM, QUIET]) {
    await tcp.open('workload', plain, PORTS.plain);
    await tcp.open('workload', https, PORTS.https);
    await tcp.passes('workload', plain);
    await tcp.passes('workload', https, HTTPS);
  }
  await tcp.open('workload', FROM.otherThanHttps, PORTS.https);
  await tcp.open('workload', FROM.closed, PORTS.closed);
  await tcp.passes('workload', FROM.closed, 'before it was closed');
  await agent.ask(policy(RULES), 'policyRealized');
  assert.ok(await tcp.isCut('workload', FROM.otherThanHttps, 'GET / HTTP/1.1\r\n\r\n'));
  assert.ok(await tcp.isCut('workload', FROM.closed));
});

/** Fills the tables of flows and of denied flows from as many CPUs as there are, up to two. */
async function pressure(): Promise<void> {
  const place = { namespace: lab.pod, ip: WORKLOAD.ip };
  const cpus = availableParallelism() > 1 ? [0, 1] : [0, 0];
  await Promise.all(cpus.flatMap((cpu) => [flood(place, HOST.ip, ALLOWED, cpu), flood(place, HOST.ip, DENIED, cpu)]));
}

describe(`a table of ${ROOM} flows while ${FLOODED} are opened`, () => {
  it('lets what is allowed go on, and nothing that is denied', async () => {
    let isOver = false;
    const filling = pressure().finally(() => {
      isOver = true;
    });
    let rounds = 0;
    for (; !isOver || rounds < 3; rounds++) {
      await tcp.say('workload', FROM.closed, `round ${rounds};`);
      await tcp.say('workload', FROM.otherThanHttps, `round ${rounds};`);
      await tcp.say('host', FROM.closed, `round ${rounds};`);
      await tcp.say('host', FROM.otherThanHttps, `round ${rounds};`);
      for (const from of [FROM.plain, FROM.https]) {
        await tcp.passes('workload', from);
        await tcp.passes('host', from);
      }
    }
    await filling;
    assert.ok(rounds > 3);
    const { localPorts, entries } = known(lab);
    assert.ok(entries <= ROOM && entries > ROOM / 2, `${entries} flows`);
    for (const from of Object.values(QUIET)) {
      assert.ok(!localPorts.has(from), 'its entry was pushed out');
      await tcp.passes('host', from);
      await tcp.passes('host', from);
      await tcp.passes('workload', from);
    }
    assert.equal(tcp.heard('host', FROM.closed), 'before it was closed');
    for (const [listener, from] of [
      ['workload', FROM.closed],
      ['workload', FROM.otherThanHttps],
      ['host', FROM.otherThanHttps],
    ] as const)
      assert.equal(tcp.heard(listener, from), '');
  });
  it('counts no flow twice', async () => {
    const hits = () =>
      agent.received.flatMap(({ report }) =>
        report.kind === 'ruleHits'
          ? report.rules.filter(({ ruleId }) => ruleId === FLOOD_RULE).map((one) => Number(one.hits))
          : [],
      );
    // All of them, unless a queue in between was too short for a while.
    await agent.next('ruleHits', () => Math.max(...hits()) > 4 * ROOM);
    assert.ok(Math.max(...hits()) <= FLOODED, `${hits()}`);
  });
});
