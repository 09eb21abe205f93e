// A short soak on the real kernel, one that must fail, and a storm. Needs root.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { describe, it } from 'node:test';
import { runSoak, type SoakOptions } from './soak.ts';
import { runStorm } from './storm.ts';

const soak = (options: Pick<SoakOptions, 'workloads' | 'seconds' | 'kills'> & Partial<SoakOptions>) => {
  const seed = Date.now() % 2 ** 32;
  return runSoak({ seed, signal: new AbortController().signal, say: () => {}, ...options });
};
const failing = (checks: Awaited<ReturnType<typeof soak>>) => checks.filter(({ holds }) => holds === false);

describe('a soak', () => {
  it('loses no allowed packet, passes no denied one and loses no count, while dp is killed and policies change', async () => {
    const checks = await soak({ workloads: 10, seconds: 15, kills: 5 });
    assert.deepEqual(failing(checks), []);
  });
  it('fails where what dp had in force goes with it', async () => {
    const whileAway = (pins: string) => rmSync(pins, { recursive: true });
    const names = failing(await soak({ workloads: 2, seconds: 3, kills: 1, whileAway, settleMs: 0 })).map(
      ({ name }) => name,
    );
    for (const name of ['denied datagrams passed, flows known as denied', 'epochs of a policy went back'])
      assert.ok(names.includes(name), `${name} is not among ${names.join('; ')}`);
  });
});

describe('a storm of reports', () => {
  it('leaves other workloads alone, and what is not reported is counted', async () => {
    const signal = new AbortController().signal;
    assert.deepEqual(failing(await runStorm({ flows: 100_000, rate: 100_000, signal, say: () => {} })), []);
  });
});
