// Datagrams of any kind to a dp that runs: it answers or counts each wrong command, and all stays as it was.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ERROR_CODE } from '../protocol/reports.ts';
import { Datagrams } from './datagrams.ts';

const DATAGRAMS = 25_000;

it(`dp goes on, and enforces as before, after ${DATAGRAMS} datagrams of any kind`, async (t) => {
  await using datagrams = await Datagrams.start();
  const seed = Date.now() % 2 ** 31;
  t.diagnostic(`seed ${seed}`);
  await datagrams.run(seed, DATAGRAMS);
  await datagrams.check();
  const { counts, codes } = datagrams;
  t.diagnostic(JSON.stringify(counts));
  assert.equal(counts.sent, DATAGRAMS);
  assert.ok(counts.refused > DATAGRAMS / 2);
  // As many right commands as it takes to get anywhere with the wrong ones.
  assert.ok(counts.realized > DATAGRAMS / 100, `${counts.realized} policies realized`);
  const { notJson, unknownCommand, invalidCommand, unknownMac, batchOrder, policyUnknown, interfaceFailed } =
    ERROR_CODE;
  for (const code of [notJson, unknownCommand, invalidCommand, unknownMac, batchOrder, policyUnknown, interfaceFailed])
    assert.ok(codes.has(code), `an error of code ${code}`);
});
