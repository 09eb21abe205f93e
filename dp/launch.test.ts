// How dp is run: what Node was given, and where compiled code is kept.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const MAIN = `${import.meta.dirname}/main.ts`;
const directory = mkdtempSync(join(tmpdir(), 'podwall-launch-'));
after(() => rmSync(directory, { recursive: true }));

/** Preloaded, so that each process of a start says what it was given. */
const WITNESS = join(directory, 'witness.mjs');
writeFileSync(WITNESS, 'process.stderr.write(JSON.stringify([process.pid, ...process.execArgv]) + "\\n");\n');

function start(cache: string, flags: readonly string[] = []) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', WITNESS, ...flags, MAIN, '--version'], {
    encoding: 'utf8',
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  });
  const processes = stderr
    .split('\n')
    .filter(Boolean)
    .map((line): [number, ...string[]] => JSON.parse(line));
  return { status, stdout, processes };
}

describe('dp is run', () => {
  it('with a small heap, and in one process all along', () => {
    const { status, stdout, processes } = start(join(directory, 'first'));
    assert.equal(status, 0);
    assert.match(stdout, /^podwall-dp \d+\.\d+\.\d+\n$/);
    assert.ok(processes.at(-1)?.includes('--max-semi-space-size=4'));
    assert.ok(processes.at(-1)?.includes('--expose-gc'));
    assert.equal(new Set(processes.map(([pid]) => pid)).size, 1);
  });
  it('with what Node is given, where that says otherwise', () => {
    const { processes } = start(join(directory, 'own'), ['--max_semi_space_size=16']);
    assert.deepEqual(
      processes.at(-1)?.filter((flag) => /semi/.test(String(flag))),
      ['--max_semi_space_size=16'],
    );
  });
  it('from code that is compiled once: the first start begins anew with it, and later ones find it', () => {
    const cache = join(directory, 'cache');
    assert.equal(start(cache).processes.length, 3);
    const [folder = ''] = readdirSync(cache);
    assert.ok(readdirSync(join(cache, folder)).length > 50);
    assert.equal(start(cache).processes.length, 2);
  });
  it('from new code where the sources have changed', () => {
    const cache = join(directory, 'stale');
    start(cache);
    const [folder = ''] = readdirSync(cache);
    const mark = join(cache, folder, 'podwall-dp');
    const now = readFileSync(mark, 'utf8');
    writeFileSync(mark, 'of other sources');
    assert.equal(start(cache).processes.length, 3);
    assert.equal(readFileSync(mark, 'utf8'), now);
  });
  it('also where nothing can be kept', () => {
    const { status, stdout, processes } = start(join(WITNESS, 'no-folder'));
    assert.equal(status, 0);
    assert.match(stdout, /^podwall-dp /);
    assert.equal(processes.length, 2);
  });
});
