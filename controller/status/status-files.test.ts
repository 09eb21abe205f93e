import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CONDITION, type Condition, type NetworkRuleStatus } from '../api/status.ts';
import { openLog } from '../log.ts';
import { StatusFiles, statusFile } from './status-files.ts';
import type { ResourceStatus } from './status-sink.ts';

describe('the file of a status', () => {
  const cases = [
    [{ kind: 'NetworkRule', namespace: 'shop', name: 'checkout' }, 'shop.checkout.status.yaml'],
    [{ kind: 'ClusterNetworkRule', namespace: '', name: 'shop.checkout' }, '_cluster.shop.checkout.status.yaml'],
    [{ kind: 'NetworkRule', namespace: 'cluster', name: 'checkout' }, 'cluster.checkout.status.yaml'],
  ] as const;
  for (const [id, file] of cases)
    it(`of ${id.kind} ${id.namespace}/${id.name} is ${file}`, () => assert.equal(statusFile(id), file));
});

function resourceStatus(name: string, programmed: Condition['status'], hits: number): ResourceStatus {
  const status: NetworkRuleStatus = {
    observedGeneration: 1,
    conditions: [
      {
        type: CONDITION.programmed,
        status: programmed,
        reason: '',
        message: '',
        observedGeneration: 1,
        lastTransitionTime: '',
      },
    ],
    ...{ workloads: { desired: 1, programmed: 1 }, nodes: { desired: 1, programmed: 1 }, problems: [] },
    summary: { workloads: '1/1', nodes: '1/1', hits },
    ...{ rules: [{ name: 'r', hits }], threats: { packets: 0, reports: 0, last: [] } },
  };
  return { id: { kind: 'NetworkRule', namespace: 'shop', name }, status };
}

describe('a status', () => {
  it('that turned is written at once, and one that only counts on once a second', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'podwall-status-'));
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
    try {
      await using files = await StatusFiles.open(folder, openLog('silent'));
      const until = async (name: string, text: RegExp, stepMs = 0): Promise<void> => {
        const read = () => readFile(join(folder, `shop.${name}.status.yaml`), 'utf8').catch(() => '');
        while (!text.test(await read())) {
          mock.timers.tick(stepMs);
          await turn();
        }
      };
      files.set([resourceStatus('a', 'False', 0)], true);
      await until('a', /status: "False"/);
      files.set([resourceStatus('a', 'True', 0)], true);
      await until('a', /status: "True"/);
      files.set([resourceStatus('a', 'True', 1), resourceStatus('b', 'True', 1)], true);
      await until('b', /hits: 1/);
      assert.match(await readFile(join(folder, 'shop.a.status.yaml'), 'utf8'), /hits: 0/);
      await until('a', /hits: 1/, 1000);
    } finally {
      mock.timers.reset();
      await rm(folder, { recursive: true });
    }
  });
});
