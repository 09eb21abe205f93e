// Ten thousand datagrams of any kind to a dp that runs: it answers or says what is wrong with each, and all stays as it was.
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import fc from 'fast-check';
import { rule } from './bpf/rules.ts';
import { ADD_MAC, CONTROL_RULES, policy } from './lab/commands.ts';
import { Lab } from './lab/lab.ts';
import { anyDatagram } from './protocol/any-datagram.ts';
import { ERROR_CODE } from './protocol/reports.ts';

const DATAGRAMS = 10_000;
const RULES = [...CONTROL_RULES, rule({ id: 1001, ports: 'udp/7001' })];

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

it(`dp goes on, and enforces as before, after ${DATAGRAMS} datagrams of any kind`, async (t) => {
  const dp = await lab.start();
  const client = lab.client();
  const traffic = await lab.traffic();
  const workloads = async () => {
    dp.signal('SIGUSR1');
    return dp.said(/\d workloads[\s\S]*?names\n/);
  };
  await client.send(ADD_MAC);
  await client.ask(policy(RULES), 'policyRealized');
  const before = await workloads();

  const seed = Date.now();
  t.diagnostic(`seed ${seed}`);
  for (const [i, datagram] of fc.sample(anyDatagram, { numRuns: DATAGRAMS, seed }).entries()) {
    await client.send(datagram);
    if (i % 5 === 0) await client.settled();
  }
  await client.settled();

  const codes = client.received.flatMap(({ report }) => (report.kind === 'error' ? [report.code] : []));
  const refused = dp.output.split('\n').filter((line) => line.includes('"command refused"')).length;
  t.diagnostic(`${codes.length} errors answered, ${refused} logged`);
  assert.ok(refused > DATAGRAMS / 2);
  const { notJson, unknownCommand, invalidCommand, unknownMac, notSupported, interfaceFailed } = ERROR_CODE;
  for (const code of [notJson, unknownCommand, invalidCommand, unknownMac, notSupported, interfaceFailed])
    assert.ok(codes.includes(code), `an error of code ${code}`);

  assert.equal(withoutTold(await workloads()), withoutTold(before));
  assert.deepEqual([await traffic.out(7001), await traffic.out(7002), await traffic.in(7001)], [true, false, false]);
  assert.deepEqual(await dp.stop(), { code: 0, signal: null });
  assert.equal(dp.errors, '');
});

/** Names and internal networks may have come: those datagrams were right. With names, flows are judged again, and the epoch counts. */
const withoutTold = (text: string): string =>
  text.replace(/internal networks:.*\n\d+ names\n/, '').replace(/epoch \d+/, 'epoch');
