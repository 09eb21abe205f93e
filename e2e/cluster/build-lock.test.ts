// One build at a time.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { whileLocked } from './build-lock.ts';

const WORK = { say: () => undefined };

describe('a build', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podwall-lock-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('waits for the one before it, also where that one fails', async () => {
    const happened: string[] = [];
    const build = (name: string, ends: () => void) =>
      whileLocked(
        WORK,
        async () => {
          happened.push(`${name} begins`);
          await sleep(100);
          happened.push(`${name} ends`);
          ends();
        },
        join(folder, 'lock'),
      );
    const fails = () => {
      throw new Error('no compiler');
    };
    const first = assert.rejects(build('one', fails), /no compiler/);
    await Promise.all([first, build('two', () => undefined), build('three', () => undefined)]);
    assert.equal(happened.length, 6);
    for (let i = 0; i < 6; i += 2) assert.equal(happened[i]?.split(' ')[0], happened[i + 1]?.split(' ')[0]);
  });

  it('is given up when it is interrupted while it waits', async () => {
    const file = join(folder, 'other');
    const interrupted = AbortSignal.timeout(200);
    await whileLocked(
      WORK,
      () => assert.rejects(whileLocked({ ...WORK, signal: interrupted }, async () => assert.fail('ran'), file)),
      file,
    );
    await whileLocked(WORK, async () => undefined, file);
  });
});
