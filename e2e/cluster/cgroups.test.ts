// Where a process's cgroups lie.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cgroupsOf } from './cgroups.ts';

describe('the cgroups of a process', () => {
  it('are one folder a hierarchy of v1, named or not, and none of v2', () => {
    const text = '9:name=systemd:/\n4:memory:/session/a\n3:cpuset:/\n2:cpu,cpuacct:/x\n0::/\n';
    assert.deepEqual(cgroupsOf(text), [
      { directory: '/sys/fs/cgroup/systemd/', hasCpuset: false },
      { directory: '/sys/fs/cgroup/memory/session/a', hasCpuset: false },
      { directory: '/sys/fs/cgroup/cpuset/', hasCpuset: true },
      { directory: '/sys/fs/cgroup/cpu,cpuacct/x', hasCpuset: false },
    ]);
  });

  it('are none on a machine with v2 alone', () => assert.deepEqual(cgroupsOf('0::/user.slice\n'), []));
});
