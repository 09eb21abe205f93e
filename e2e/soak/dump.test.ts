// What the soak takes from dp's dump.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readDump } from './dump.ts';

const DUMP = `2 workloads
  02:00:00:00:50:0a on soak0 (interface 2), epoch 5: no policy
    dropped: 7 packets, policy
    dropped: 1 packets, spoofedMac
  02:00:00:00:50:0b on soak1 (interface 3), epoch 5: no policy
    dropped: 5 packets, policy
1 names
  host.test (id 1): no address
lost in the kernel: 3 events, 2 hits, 1 flows
`;

describe('a dump of dp', () => {
  it('tells the drops of all workloads by reason, and what tables had no room for', () => {
    assert.deepEqual(readDump(DUMP), {
      drops: new Map([
        ['policy', 12],
        ['spoofedMac', 1],
      ]),
      tableLosses: 3,
    });
  });
  it('is waited for until it is whole', () => {
    assert.equal(readDump(DUMP.slice(0, DUMP.indexOf('lost in'))), undefined);
  });
});
