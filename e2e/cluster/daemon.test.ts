// Processes that outlive the command that started them, with real ones.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { waitFor } from '../lab/wait.ts';
import { daemonsOf, isAlive, logFile, pidOf, startDaemon, stopDaemon } from './daemon.ts';
import type { Cluster } from './places.ts';

describe('a daemon', () => {
  let cluster: Cluster;
  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'podwall-daemon-'));
    cluster = { name: 'test', directory, kubeconfig: '' };
  });
  after(async () => {
    for (const name of await daemonsOf(cluster)) await stopDaemon(cluster, name);
    await rm(cluster.directory, { recursive: true });
  });

  it('runs once, however often it is started, until it is stopped', async () => {
    await startDaemon(cluster, 'one', ['sleep', '60']);
    const pid = await pidOf(cluster, 'one');
    await startDaemon(cluster, 'one', ['sleep', '60']);
    assert.equal(await pidOf(cluster, 'one'), pid);
    await stopDaemon(cluster, 'one');
    assert.equal(await isAlive(cluster, 'one'), false);
    assert.throws(() => process.kill(pid ?? 0, 0), { code: 'ESRCH' });
  });

  it('has its output in a file', async () => {
    await startDaemon(cluster, 'two', ['sh', '-c', 'echo said; exec sleep 60']);
    const log = async () => (await readFile(logFile(cluster, 'two'), 'utf8')).trim() || undefined;
    assert.equal(await waitFor('its word', log, { timeoutMs: 5000 }), 'said');
  });

  it('is not taken for another process that got its pid', async () => {
    const record = join(cluster.directory, 'pid', 'three');
    await writeFile(record, JSON.stringify({ pid: process.pid, startedAt: '1' }));
    assert.equal(await isAlive(cluster, 'three'), false);
    await stopDaemon(cluster, 'three'); // would kill this test
  });
});
