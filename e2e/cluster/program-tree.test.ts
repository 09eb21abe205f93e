// Programs with the libraries that they load.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { mustRun } from '../lab/command.ts';
import { addPrograms, librariesIn } from './program-tree.ts';

describe('a tree of programs', () => {
  it('has the files that ldd names, and nothing that the kernel provides', () => {
    const ldd = `\tlinux-vdso.so.1 (0x00007fe21b553000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fe21b01e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007fe21b555000)\n`;
    assert.deepEqual(librariesIn(ldd), ['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
  });

  it('runs them when it is the root', async () => {
    const tree = await mkdtemp(join(tmpdir(), 'podwall-tree-'));
    try {
      await addPrograms(tree, ['ip', 'curl'], {});
      const { stdout } = await mustRun(['chroot', tree, '/bin/ip', '-V']);
      assert.match(stdout, /iproute2/);
    } finally {
      await rm(tree, { recursive: true });
    }
  });
});
