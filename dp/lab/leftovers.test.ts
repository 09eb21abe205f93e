// What becomes of a lab whose process is ended by a signal: nothing of it stays.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { removeAbandoned } from './leftovers.ts';
import { Changes } from './waiting.ts';

type Told = { readonly pin: string; readonly host: string; readonly directory: string; readonly dp: number };

async function idleLab(): Promise<[ChildProcess, Told]> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/idle-lab.ts`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [text] = await once(child.stdout, 'data');
  return [child, JSON.parse(String(text))]; // what idle-lab.ts says
}

async function endBy(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit');
  child.kill(signal);
  assert.deepEqual(await ended, [null, signal]);
}

const left = ({ pin, host, directory }: Told): string[] => [pin, host, directory].filter((path) => existsSync(path));

describe('a lab', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    it(`goes with its process at ${signal}`, async () => {
      const [child, told] = await idleLab();
      assert.equal(left(told).length, 3);
      await endBy(child, signal);
      assert.deepEqual(left(told), []);
    });
  it('of a killed process is removed by the next one, and its dp ends by itself', async () => {
    const [child, told] = await idleLab();
    await endBy(child, 'SIGKILL');
    assert.equal(left(told).length, 3);
    const changes = new Changes();
    const timer = setInterval(() => changes.happened(), 20);
    await changes
      .until(
        () => `dp, process ${told.dp}, to end`,
        () => !existsSync(`/proc/${told.dp}`) || undefined,
      )
      .finally(() => clearInterval(timer));
    removeAbandoned();
    assert.deepEqual(left(told), []);
  });
});
