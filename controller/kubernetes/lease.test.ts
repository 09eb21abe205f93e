import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOpenTo, type Lease, nextSpec, readLease, sight } from './lease.ts';

const lease = (holder: string, renewedAt = 't1'): Lease => ({
  ...{ resourceVersion: '1', holder, durationMs: 8000, acquiredAt: 't0', renewedAt, transitions: 3 },
});

describe('a lease', () => {
  const cases: [what: string, lease: Lease, sinceMs: number, nowMs: number, isOpen: boolean][] = [
    ['of another is closed while it is renewed', lease('other'), 0, 8000, false],
    ['of another is open once it was not renewed for its duration', lease('other'), 0, 8001, true],
    ['of one’s own is open', lease('me'), 0, 1, true],
    ['that was given up is open', lease(''), 0, 1, true],
  ];
  for (const [what, seen, sinceMs, nowMs, isOpen] of cases) {
    it(what, () => assert.equal(isOpenTo('me', { lease: seen, sinceMs }, nowMs), isOpen));
  }

  it('counts as renewed when it looks other than before, whatever its own times say', () => {
    const first = sight(lease('other', 't1'), undefined, 100);
    assert.equal(sight(lease('other', 't1'), first, 5000).sinceMs, 100);
    assert.equal(sight(lease('other', 't0'), first, 5000).sinceMs, 5000);
    assert.equal(sight(lease('third', 't1'), first, 5000).sinceMs, 5000);
  });

  it('keeps the time it was acquired while its holder stays, and counts its changes of hand', () => {
    const write = { holder: 'me', durationMs: 8000, nowMs: 0 };
    const now = '1970-01-01T00:00:00.000000Z';
    const spec = { holderIdentity: 'me', leaseDurationSeconds: 8, renewTime: now };
    assert.deepEqual(nextSpec(write, undefined), { ...spec, acquireTime: now, leaseTransitions: 0 });
    assert.deepEqual(nextSpec(write, lease('me')), { ...spec, acquireTime: 't0', leaseTransitions: 3 });
    assert.deepEqual(nextSpec(write, lease('other')), { ...spec, acquireTime: now, leaseTransitions: 4 });
    assert.deepEqual(nextSpec(write, lease('')), { ...spec, acquireTime: now, leaseTransitions: 4 });
  });

  it('that holds nothing readable counts as given up', () => {
    for (const object of [undefined, {}, { spec: { holderIdentity: 7 } }]) assert.equal(readLease(object).holder, '');
  });
});
