// Large transfers over a way whose narrowest link only an ICMP error tells of: through a policy that allows no ICMP.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import { ADD_MAC, policy } from './lab/commands.ts';
import { flowFrom } from './lab/flow-table.ts';
import { Lab, type Node } from './lab/lab.ts';

const PORT = 6000;
const NARROW = 1400;
const BYTES = 1_000_000;

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
let far: Node;
before(async () => {
  far = lab.addBehindHost(NARROW);
  await lab.start();
  const agent = lab.agent();
  await agent.send(ADD_MAC);
  const rules = ([4, 6] as const).map((family) => rule({ id: family, ports: `tcp/${PORT}`, family }));
  await agent.ask(policy(rules), 'policyRealized');
});

for (const family of [4, 6] as const)
  it(`IPv${family}: packets become as small as the way is narrow`, async () => {
    const tcp = lab.tcp(family, far);
    await tcp.listen('host', PORT);
    const from = 20_000 + family;
    await tcp.open('workload', from, PORT);
    await tcp.passes('workload', from, 'x'.repeat(BYTES));
    const sent = flowFrom(lab, from)?.sides[0]?.packets ?? 0n;
    assert.ok(sent >= BYTES / NARROW, `${sent} packets`);
    assert.ok(lab.mtu > NARROW);
  });
