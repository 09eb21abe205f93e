// In a network namespace of its own. Needs root.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';

const MODULE = join(import.meta.dirname, 'node-addresses.ts');
const WATCHER = `
  import { NodeAddresses } from ${JSON.stringify(MODULE)};
  const addresses = new NodeAddresses(() => console.log(JSON.stringify(addresses.read())));
  console.log(JSON.stringify(addresses.read()));
`;

describe('a node’s addresses', () => {
  it('are those of its interfaces, without loopback and link-local ones, and followed as they change', async () => {
    const args = ['--net', process.execPath, '--input-type=module', '-e', WATCHER];
    const watcher = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ip = (command: string) =>
      execFileSync('nsenter', [`--net=/proc/${watcher.pid}/ns/net`, '--', 'ip', ...command.split(' ')]);
    try {
      const lines = createInterface({ input: watcher.stdout })[Symbol.asyncIterator]();
      const next = async () => (await lines.next()).value;
      assert.equal(await next(), '[]');
      ip('link set lo up');
      ip('link add bridge type bridge');
      ip('address add 10.9.0.1/24 dev bridge');
      ip('address add 169.254.1.1/16 dev bridge');
      ip('-6 address add fd00::9/64 dev bridge nodad');
      ip('link set bridge up');
      let seen = await next();
      while (seen === '["10.9.0.1"]') seen = await next(); // looked at in the middle of the change
      assert.equal(seen, '["10.9.0.1","fd00::9"]');
    } finally {
      watcher.kill('SIGKILL');
    }
  });
});
