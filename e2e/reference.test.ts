// A client that knows only the reference sends its example to a dp alone: its four outcomes follow. Needs root.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DNS_IP, MYSQL_IP, REDIS_IP, setNetwork, TEST_NAME } from './demo/stage.ts';
import { describeOutcome } from './demo/verdict.ts';
import type { Command } from './lab/command.ts';
import { Lab } from './lab/lab.ts';
import { dpSocket, startDp } from './lab/podwall.ts';
import { dnsQuestion } from './lab/servers/dnsmasq.ts';
import { mariadbQuery } from './lab/servers/mariadb.ts';
import { httpsRequest } from './lab/servers/nginx.ts';
import { redisPing } from './lab/servers/redis.ts';
import { waitFor } from './lab/wait.ts';

const SEND_POLICY = join(import.meta.dirname, 'reference/send_policy.py');
const CLIENT_TIMEOUT_MS = 2_000;
const REPORT_TIMEOUT_MS = 10_000;

test('the reference’s example, sent by a client that knows only the reference', { timeout: 120_000 }, async (t) => {
  await using lab = await Lab.create();
  const { workload, site } = await setNetwork(lab, () => undefined);
  const dp = await startDp(lab, ['-s', '-d', 'all']);

  const outcome = async (command: Command, answer: string): Promise<string> => {
    const completed = await lab.run(workload, command, { timeoutMs: CLIENT_TIMEOUT_MS });
    return describeOutcome(completed, { kind: 'passes', answer });
  };
  const reported = (fields: object): Promise<object> => {
    const attempt = async () => logged(await dp.log()).find((line) => isSubset(fields, line));
    return waitFor(`a report with ${JSON.stringify(fields)}`, attempt, { timeoutMs: REPORT_TIMEOUT_MS });
  };

  await t.test('is taken by dp without an error', async () => {
    const { code, stderr } = await lab.run(lab.node, ['python3', SEND_POLICY, dpSocket(lab), lab.file('own.sock')]);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(await dp.log(), /refused/);
  });
  await t.test('lets MySQL through (scenario 1)', async () =>
    assert.equal(await outcome(mariadbQuery(MYSQL_IP, 'SELECT 1'), '1'), 'passes'),
  );
  await t.test('lets HTTPS to api.github.com through (scenario 2)', async () =>
    assert.equal(await outcome(httpsRequest(site), '200'), 'passes'),
  );
  await t.test('drops Redis and reports the threat (scenario 3)', async () => {
    assert.equal(await outcome(redisPing(REDIS_IP), 'PONG'), 'dropped');
    await reported({ kind: 'threatLog', rule: 1003, destination: REDIS_IP, destinationPort: 6379, action: 'deny' });
  });
  await t.test('drops DNS by the default action (scenario 4)', async () => {
    assert.equal(await outcome(dnsQuestion(DNS_IP, TEST_NAME), ''), 'dropped');
    await reported({ kind: 'threatLog', rule: 0, destination: DNS_IP, destinationPort: 53, action: 'deny' });
  });
});

const logged = (log: string): object[] =>
  log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

const isSubset = (part: object, whole: object): boolean => {
  const fields = new Map(Object.entries(whole));
  return Object.entries(part).every(([name, value]) => fields.get(name) === value);
};
