// When a policy that is used no more leaves the kernel.
import assert from 'node:assert/strict';
import { after, it, mock } from 'node:test';
import { Harness } from '../bpf/harness.ts';
import { rule } from '../bpf/rules.ts';
import { GENERATIONS } from './generation.ts';
import { getPinned, isKernelError, lookupElement } from './libbpf.ts';
import { close } from './libc.ts';

const GRACE_MS = 1000;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

/** Whether the kernel has a policy at this index. */
function isThere(index: number): boolean {
  const fd = getPinned(`/sys/fs/bpf/podwall-test-${process.pid}/${GENERATIONS[0]}/policies`);
  try {
    lookupElement(fd, Uint32Array.of(index), new Uint32Array(1));
    return true;
  } catch (error) {
    if (isKernelError(error, 'ENOENT')) return false;
    throw error;
  } finally {
    close(fd);
  }
}

it('a second after the last workload let go of it, however often it was taken and let go of before', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const workload = harness.workload();
  const [one, other] = [{ rules: [rule()] }, { rules: [rule({ ports: 'tcp/1' })] }];
  workload.enforce(one);
  const index = harness.engine.workloads.withMac(workload.mac)[0]?.state.policy ?? 0;
  workload.enforce(other);
  mock.timers.tick(0.9 * GRACE_MS);
  workload.enforce(one);
  workload.enforce(other);
  mock.timers.tick(0.9 * GRACE_MS);
  assert.ok(isThere(index), 'a packet may still be in the middle of it');
  mock.timers.tick(0.1 * GRACE_MS);
  assert.ok(!isThere(index));
});
