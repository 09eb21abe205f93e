// TCP connections that dp does not know, though they are open: from before it knew of the workload, and from before they
// were pushed out of its table. Real ones, whose sockets tell of them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { firstPayload } from './bpf/payloads.ts';
import { EVERYTHING, rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, DEL_MAC, policy } from './lab/commands.ts';
import { evict } from './lab/flow-table.ts';
import { Lab } from './lab/lab.ts';
import type { Role, TcpPair } from './lab/tcp.ts';
import type { PolicyRule } from './protocol/commands.ts';
import { ACTION, type Action } from './protocol/values.ts';

const PORT = 6000;
const HTTP = 'GET / HTTP/1.1\r\n\r\n';
const HTTPS = firstPayload('HTTPS').toString('latin1');
const NONSENSE = 'neither the one nor the other';

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
let agent: Agent;
const pairs = {} as Record<4 | 6, TcpPair>; // as soon as the tests run
before(async () => {
  await lab.start();
  agent = lab.agent();
  for (const family of [4, 6] as const) {
    pairs[family] = lab.tcp(family);
    for (const role of ['workload', 'host'] as const) await pairs[family].listen(role, PORT);
  }
});

const other = (role: Role): Role => (role === 'workload' ? 'host' : 'workload');

async function forget(): Promise<void> {
  await agent.send(DEL_MAC);
  await agent.settled();
}

/** dp meets the workload for the first time. */
async function meet(...rules: readonly PolicyRule[]): Promise<void> {
  await forget();
  await agent.send(ADD_MAC);
  await enforce(...rules);
}
const enforce = (...rules: readonly PolicyRule[]) => agent.ask(policy(rules), 'policyRealized');

for (const family of [4, 6] as const)
  describe(`a connection of IPv${family} that was open before`, () => {
    const cases = [
      { client: 'workload', may: 'egress', mayNot: 'ingress' },
      { client: 'host', may: 'ingress', mayNot: 'egress' },
    ] as const;
    for (const { client, may, mayNot } of cases)
      for (const from of [5000, 7000])
        it(`is judged as the ${client} opened it, from port ${from} to ${PORT}`, async () => {
          const tcp = pairs[family];
          await forget();
          await tcp.open(client, from, PORT);
          await tcp.passes(client, from);
          await meet(rule({ direction: may, ports: `tcp/${PORT}`, family }));
          await tcp.passes(client, from);
          await tcp.passes(other(client), from);
          await meet(rule({ direction: mayNot, family }));
          assert.ok(await tcp.isCut(client, from));
        });
  });

describe('the application of a connection', () => {
  let tcp: TcpPair;
  before(() => {
    tcp = pairs[4];
  });
  const forApplication = (name: 'HTTP' | 'HTTPS', action: Action) =>
    (['egress', 'ingress'] as const).map((direction, i) =>
      rule({ id: 1 + i, direction, ports: `tcp/${PORT}`, apps: { [name]: action } }),
    );
  const httpsOnly = forApplication('HTTPS', ACTION.open);
  let from = 20_000;
  const open = async (client: Role): Promise<number> => {
    from += 1;
    await tcp.open(client, from, PORT);
    return from;
  };
  for (const client of ['workload', 'host'] as const)
    describe(`that the ${client} opens`, () => {
      it('is told where nothing was said before dp came', async () => {
        await forget();
        const [good, bad] = [await open(client), await open(client)];
        await meet(...httpsOnly);
        await tcp.passes(client, good, HTTPS);
        await tcp.passes(other(client), good);
        assert.ok(await tcp.isCut(client, bad, HTTP));
      });
      it('is taken for what the rule says where something was said before', async () => {
        await forget();
        const connection = await open(client);
        await tcp.passes(client, connection, HTTP);
        await meet(...httpsOnly);
        await tcp.passes(client, connection);
      });
      it('is told where its entry was pushed out before anything was said', async () => {
        await meet(...httpsOnly);
        const [good, bad] = [await open(client), await open(client)];
        assert.ok(evict(lab, 'flows') >= 2);
        await tcp.passes(client, good, HTTPS);
        assert.ok(await tcp.isCut(client, bad, HTTP));
      });
      for (const tables of [['flows'], ['flows', 'denials']] as const)
        it(`stays denied, and allowed, where its entry is pushed out of ${tables.join(' and ')}`, async () => {
          await meet(...httpsOnly);
          const [good, bad] = [await open(client), await open(client)];
          await tcp.passes(client, good, HTTPS);
          assert.ok(await tcp.isCut(client, bad, HTTP));
          evict(lab, ...tables);
          await tcp.passes(other(client), good);
          await tcp.passes(client, good);
          assert.ok(await tcp.isCut(client, bad, 'more'));
          assert.ok(await tcp.isCut(other(client), bad, 'an answer'));
        });
      it('stays denied where both sides have shown that it is none that is known', async () => {
        await meet(...httpsOnly);
        const connection = await open(client);
        await tcp.passes(client, connection, NONSENSE);
        evict(lab, 'flows', 'denials');
        assert.ok(await tcp.isCut(other(client), connection, NONSENSE));
        evict(lab, 'flows', 'denials');
        assert.ok(await tcp.isCut(other(client), connection, NONSENSE));
        assert.ok(await tcp.isCut(client, connection));
      });
      it('is remembered for a policy that comes after its entry was pushed out', async () => {
        await meet(...httpsOnly);
        const connection = await open(client);
        await tcp.passes(client, connection, HTTPS);
        evict(lab, 'flows');
        await enforce(...forApplication('HTTP', ACTION.deny), ...EVERYTHING);
        await tcp.passes(client, connection);
        evict(lab, 'flows');
        await enforce(...forApplication('HTTPS', ACTION.deny), ...EVERYTHING);
        assert.ok(await tcp.isCut(client, connection));
      });
    });
});
