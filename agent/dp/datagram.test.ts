import assert from 'node:assert/strict';
import { chownSync, existsSync, lchownSync, lstatSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import unix from 'unix-dgram';
import { DatagramError, DatagramReceiver, DatagramSender } from './datagram.ts';

const NOBODY = 65534;

describe('a bound datagram socket', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'podwall-test-datagram-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const ignore = (): void => undefined;
  const withCode = (code: string) => (error: unknown) => error instanceof DatagramError && error.code === code;

  it('is its owner’s alone, and its file goes with it', () => {
    const path = join(folder, 'own');
    {
      using _ = new DatagramReceiver(path, ignore);
      assert.equal(lstatSync(path).mode & 0o777, 0o600);
    }
    assert(!existsSync(path));
  });

  it('takes the place of one that nobody reads any more', () => {
    const path = join(folder, 'dead');
    const dead = unix.createSocket('unix_dgram');
    dead.bind(path);
    dead.close();
    using _ = new DatagramReceiver(path, ignore);
    new DatagramSender(path)[Symbol.dispose]();
  });

  it('leaves the file of another that took its path', () => {
    const path = join(folder, 'taken');
    const first = new DatagramReceiver(path, ignore);
    rmSync(path);
    using _ = new DatagramReceiver(path, ignore);
    first[Symbol.dispose]();
    assert(existsSync(path));
  });

  it('is refused where another process reads, where a file lies, and where a link does', () => {
    const path = join(folder, 'live');
    using _ = new DatagramReceiver(path, ignore);
    const file = join(folder, 'file');
    writeFileSync(file, 'kept');
    const link = join(folder, 'link');
    symlinkSync(path, link);
    const dangling = join(folder, 'dangling');
    symlinkSync(join(folder, 'nothing'), dangling);
    assert.throws(() => new DatagramReceiver(path, ignore), withCode('IN_USE'));
    for (const taken of [file, link, dangling])
      assert.throws(() => new DatagramReceiver(taken, ignore), withCode('NOT_A_SOCKET'));
    assert(!existsSync(join(folder, 'nothing')));
  });

  it('of another user is neither replaced, whether it is read or not, nor sent to, nor is one behind that user’s link', () => {
    const path = join(folder, 'foreign');
    const foreign = unix.createSocket('unix_dgram');
    foreign.bind(path);
    const link = join(folder, 'foreign-link');
    const own = join(folder, 'behind');
    using _ = new DatagramReceiver(own, ignore);
    symlinkSync(own, link);
    chownSync(path, NOBODY, NOBODY);
    lchownSync(link, NOBODY, NOBODY);
    for (const taken of [path, link]) assert.throws(() => new DatagramSender(taken), withCode('NOT_OWN'));
    assert.throws(() => new DatagramReceiver(path, ignore), withCode('NOT_OWN'));
    foreign.close();
    assert.throws(() => new DatagramReceiver(path, ignore), {
      message: `${path} belongs to user ${NOBODY}, which is neither root nor this process’s: remove it, or name another path`,
    });
    assert(existsSync(path));
  });

  it('is waited for while its queue is full, and loses nothing', async () => {
    const path = join(folder, 'full');
    const received: number[] = [];
    using _ = new DatagramReceiver(path, (datagram) => received.push(datagram.readUInt32BE()));
    using sender = new DatagramSender(path);
    const sent = Array.from({ length: 500 }, (_, i) => i);
    for (const i of sent) {
      const datagram = Buffer.alloc(20_000);
      datagram.writeUInt32BE(i);
      await sender.send(datagram);
    }
    await sleep(50);
    assert.deepEqual(received, sent);
  });

  it('is no longer waited for once its reader is gone', async () => {
    const path = join(folder, 'ending');
    const reader = unix.createSocket('unix_dgram');
    reader.bind(path);
    using sender = new DatagramSender(path);
    const sending = (async () => {
      for (;;) await sender.send(Buffer.alloc(10));
    })();
    setImmediate(() => reader.close());
    await assert.rejects(sending, withCode('ECONNREFUSED'));
  });
});
