// The ids of names: given once, and free again for new names only where nothing uses them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LimitExceeded } from '../limits.ts';
import { Names, ROOM } from './names.ts';

function full(): Names {
  const names = new Names();
  for (let i = 0; i < ROOM.names; i++) names.idOf(`host-${i}.example.com`);
  return names;
}

describe('a table of names that is full', () => {
  it('refuses one more', () => {
    assert.throws(() => full().idOf('one.more.example.com'), LimitExceeded);
  });
  it('takes one more after those that nothing uses were forgotten', () => {
    const names = full();
    const forgotten = names.sweep((name) => name === 'host-1.example.com');
    assert.equal(forgotten.length, ROOM.names - 2);
    assert.ok(!forgotten.includes('host-1.example.com'));
    assert.equal(names.idOf('one.more.example.com'), ROOM.names + 1);
  });
  it('keeps names that have an address', () => {
    const names = full();
    names.setAddresses('host-7.example.com', ['10.0.0.1']);
    assert.ok(!names.sweep(() => false).includes('host-7.example.com'));
  });
  it('never gives an id twice, also not after a restart', () => {
    const names = full();
    names.sweep(() => false);
    const restarted = new Names();
    restarted.restore(new Map(names.list().map(([name, id]) => [name, id])), new Map());
    assert.equal(restarted.idOf('one.more.example.com'), ROOM.names + 1);
  });
});
