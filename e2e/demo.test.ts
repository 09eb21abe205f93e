// The demo as people run it: all scenarios hold, and nothing is left behind, however it ends. Needs root.
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { Summary } from './demo/table.ts';
import { processesIn } from './lab/namespace.ts';
import { labId, namespaceOf } from './lab/naming.ts';
import { existingLabs } from './lab/removal.ts';

const DEMO = join(import.meta.dirname, 'demo/main.ts');
const ROLES = ['node', 'container-1', 'mysql', 'redis', 'github', 'dns'];

type Demo = { readonly child: ChildProcessWithoutNullStreams; readonly id: string; readonly exit: Promise<number> };

function startDemo(...options: string[]): Demo {
  const child = spawn(process.execPath, [DEMO, ...options], { stdio: 'pipe' });
  child.stdin.end();
  const exit = once(child, 'close').then(([code]) => Number(code));
  return { child, id: labId(child.pid ?? 0, 1), exit };
}

/** Resolves once the demo has told of that step. */
async function untilSaid(stream: Readable, step: RegExp): Promise<void> {
  let said = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    said += chunk;
    if (step.test(said)) return;
  }
  assert.fail(`the demo ended without saying ${step}: ${said}`);
}

/** Pid and start time of every process in the lab: together they tell it from a later one of the same pid. */
async function processesOf(id: string): Promise<string[]> {
  const pids = await processesIn(ROLES.map((role) => namespaceOf(id, role)));
  return pids.map(identityOf).filter((identity) => identity !== undefined);
}

function identityOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    // proc(5): the 3rd field is the state, and the 22nd the start time. A zombie has ended, and waits for its parent.
    return fields[0] === 'Z' ? undefined : `${pid} ${fields[19]}`;
  } catch {
    return undefined; // it has ended
  }
}

async function assertNothingLeft(id: string, processes: readonly string[]): Promise<void> {
  assert.ok(!(await existingLabs()).includes(id), `something of lab ${id} is left`);
  const left = processes.filter((identity) => identityOf(Number.parseInt(identity, 10)) === identity);
  assert.deepEqual(left, [], 'processes of the lab are left');
}

describe('the demo', { timeout: 300_000 }, () => {
  it('holds in every scenario, and leaves nothing behind', async () => {
    const { child, id, exit } = startDemo('--json');
    const stdout = text(child.stdout);
    await untilSaid(child.stderr, /five clients tried/);
    const processes = await processesOf(id);
    assert.ok(processes.length >= ROLES.length);
    child.stderr.resume();
    assert.equal(await exit, 0);
    const summary: Summary = JSON.parse((await stdout).trim().split('\n').at(-1) ?? '');
    assert.deepEqual(
      summary.scenarios.filter(({ expected, seen }) => expected !== seen),
      [],
    );
    assert.deepEqual([summary.passed, summary.failed], [summary.scenarios.length, 0]);
    await assertNothingLeft(id, processes);
  });

  const interruptions = [
    ['SIGINT', 130, /network:/],
    ['SIGINT', 130, /servers:/],
    ['SIGTERM', 143, /Podwall:/],
    ['SIGINT', 130, /generation 1: Programmed/],
  ] as const;
  for (const [signal, code, step] of interruptions)
    it(`removes what it made when ${signal} comes after ${step}`, async () => {
      const { child, id, exit } = startDemo();
      await untilSaid(child.stdout, step);
      const processes = await processesOf(id);
      child.kill(signal);
      assert.equal(await exit, code);
      await assertNothingLeft(id, processes);
    });

  it('removes what it made when nobody reads its output any more', async () => {
    const { child, id, exit } = startDemo();
    await untilSaid(child.stdout, /network:/);
    child.stdout.destroy();
    assert.notEqual(await exit, 0);
    await assertNothingLeft(id, []);
  });

  it('can be kept running, and stopped by its id', async () => {
    const { child, id, exit } = startDemo('--keep');
    const [stdout, stderr] = [text(child.stdout), text(child.stderr)];
    assert.equal(await exit, 0, await stderr);
    assert.match(await stdout, new RegExp(`--stop ${id}`));
    const processes = await processesOf(id);
    assert.ok(processes.length >= ROLES.length);
    const stop = startDemo('--stop', id);
    assert.equal(await stop.exit, 0);
    await assertNothingLeft(id, processes);
  });

  it('says how it is used when an option is not known', async () => {
    const { child, exit } = startDemo('--faster');
    const stderr = text(child.stderr);
    assert.equal(await exit, 2);
    assert.match(await stderr, /--faster.*usage:/s);
  });
});
