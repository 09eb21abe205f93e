// Policies that come and go: what a place in the kernel held before never shows in the next.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Harness } from '../bpf/harness.ts';
import { rule } from '../bpf/rules.ts';

const harness = new Harness();
after(() => harness[Symbol.dispose]());
/** When a place that was let go of may be written over. */
const UNUSED_MS = 1100;

describe('a policy that is written over one that is used no more', () => {
  it('is the whole of what decides', async () => {
    const workload = harness.workload();
    const rules = (first: number, count: number) =>
      Array.from({ length: count }, (_, i) => rule({ id: first + i, peer: `10.1.0.${first + i}`, ports: 'udp/53' }));
    workload.allowOnly(...rules(1, 20));
    const { policy: place } = harness.engine.workloads.withMac(workload.mac)[0]?.state ?? assert.fail();
    workload.allowOnly(rule({ id: 1, ports: 'tcp/1' }));
    await sleep(UNUSED_MS);
    workload.allowOnly(...rules(30, 15));
    assert.equal(harness.engine.workloads.withMac(workload.mac)[0]?.state.policy, place);
    assert.deepEqual(
      [1, 20, 29, 30, 44, 45].map((host) => workload.sendUdp(`10.1.0.${host}`, 53)),
      ['drop', 'drop', 'drop', 'pass', 'pass', 'drop'],
    );
  });
});
