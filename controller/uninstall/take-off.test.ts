// What becomes of the node's DaemonSet while Podwall is uninstalled.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DaemonSet, isDone, remaining, takingOff } from './take-off.ts';

const DP = {
  name: 'dp',
  image: 'podwall:1',
  args: ['dp/main.ts', '--pin', '/sys/fs/bpf/own'],
  volumeMounts: [{ name: 'bpf' }],
};
const AGENT = { name: 'agent', image: 'podwall:1' };
const daemonSet = (status: Partial<DaemonSet['status']>, containers = [DP, AGENT]): DaemonSet => ({
  metadata: { generation: 2 },
  spec: { template: { spec: { containers } } },
  status: { desiredNumberScheduled: 3, ...status },
});

describe('taking off', () => {
  it('runs dp’s own container to detach, without its probes, in place of agent and dp', () => {
    const probe = { httpGet: { path: '/healthz', port: 'dp-metrics' } };
    const probed = { ...DP, livenessProbe: probe, readinessProbe: probe, ports: [{ name: 'dp-metrics' }] };
    const { spec } = takingOff(daemonSet({}, [probed, AGENT])) as {
      spec: { template: { spec: { [key: string]: object[] } } };
    }; // as written
    const { initContainers, containers } = spec.template.spec;
    assert.deepEqual(initContainers, [{ ...DP, name: 'detach', args: [...DP.args, '--detach'] }]);
    assert.equal(containers?.length, 1);
    assert.notDeepEqual(containers?.[0], AGENT);
  });

  it('refuses a DaemonSet that is not Podwall’s', () => {
    assert.throws(() => takingOff(daemonSet({}, [])), /no container dp/);
  });

  const cases = [
    ['not seen by the cluster yet', { observedGeneration: 1, updatedNumberScheduled: 3, numberReady: 3 }, 3],
    ['with no new pod yet', { observedGeneration: 2, numberReady: 3 }, 3],
    ['under way', { observedGeneration: 2, updatedNumberScheduled: 3, numberReady: 1 }, 2],
    ['over', { observedGeneration: 2, updatedNumberScheduled: 3, numberReady: 3 }, 0],
    ['over where no node is', { observedGeneration: 2, desiredNumberScheduled: 0 }, 0],
  ] as const;
  for (const [name, status, nodes] of cases)
    it(`${name}: ${nodes} nodes remain`, () => {
      assert.equal(remaining(daemonSet(status)), nodes);
      assert.equal(isDone(daemonSet(status)), nodes === 0);
    });
});
