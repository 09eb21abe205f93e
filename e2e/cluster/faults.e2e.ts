// Agents, etcd and controllers fail, and a node is drained, while pods of two nodes talk: no allowed packet is lost, no
// denied one arrives, changes arrive once the part is back, and status tells what is stale.
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { poll, waitFor } from '../lab/wait.ts';
import { PORT } from '../traffic/ports.ts';
import { arrivedAt, PodTraffic, startServer } from './pod-traffic.ts';
import { conditionOf, install, remove, SYSTEM, untilProgrammed } from './release.ts';
import { apply, cluster, inPod, kube, namespace, onNode, pod, provider, untilPhase } from './under-test.ts';

const SPACE = 'faults';
const CLIENT_RULE = { namespace: SPACE, name: 'client' };
const SERVER_RULE = { namespace: SPACE, name: 'server' };
const WAIT = { timeoutMs: 90_000 };
const TAKE_OVER_MS = 15_000;
const UNKNOWN_MS = 30_000;

const component = (name: string) => ['-l', `app.kubernetes.io/component=${name}`];
const json = async (...args: readonly string[]) => JSON.parse(await kube([...args, '-o', 'json']));

describe('while parts of Podwall fail on a cluster', () => {
  let nodes: string[] = [];
  const at = (index: number): string => nodes[index] ?? assert.fail('the cluster has too few nodes');
  const clientPlace = () => ({ namespace: SPACE, name: 'client', node: at(0), labels: { app: 'client' } });
  const serverPlace = () => ({ namespace: SPACE, name: 'server', node: at(1), labels: { app: 'server' } });
  let server = '';

  before(async () => {
    nodes = await provider().nodes(cluster);
    await apply([namespace(SPACE)]);
    server = await startServer(serverPlace());
    await install();
    await apply([clientRule('Deny'), serverRule]);
    await untilProgrammed(SERVER_RULE);
  });

  after(async () => {
    await kube(['uncordon', at(1)]).catch(() => undefined); // it was not cordoned
    await remove([SPACE]);
  });

  const clientRule = (switched: 'Allow' | 'Deny') => ({
    ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: CLIENT_RULE },
    spec: {
      selector: { matchLabels: { app: 'client' } },
      egress: [
        { name: 'tcp', action: 'Allow', to: [{ ip: server }], ports: [`tcp/${PORT.tcp}`, `tcp/${PORT.deniedTcp}`] },
        { name: 'udp', action: 'Allow', to: [{ ip: server }], ports: [`udp/${PORT.udp}`] },
        { name: 'switched', action: switched, to: [{ ip: server }], ports: [`udp/${PORT.switchedUdp}`] },
      ],
    },
  });

  /** By label, so that it hangs on the group of addresses too; it alone denies one of the ports. */
  const serverRule = {
    ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: SERVER_RULE },
    spec: {
      selector: { matchLabels: { app: 'server' } },
      ingress: [
        {
          ...{ name: 'client', action: 'Allow', from: [{ podSelector: { matchLabels: { app: 'client' } } }] },
          ports: [`tcp/${PORT.tcp}`, `udp/${PORT.udp}`, `udp/${PORT.switchedUdp}`, `udp/${PORT.deniedUdp}`],
        },
      ],
    },
  };

  /** Has a fault happen in the midst of traffic, and asserts that the traffic does not notice. */
  async function undisturbed(t: TestContext, fault: (traffic: PodTraffic) => Promise<void>): Promise<void> {
    const arrivedBefore = await arrivedAt(serverPlace());
    const traffic = await PodTraffic.start(clientPlace(), server);
    await untilProgrammed(CLIENT_RULE);
    await traffic.goesOn();
    await fault(traffic);
    await traffic.goesOn();
    const { tcp, udp, fresh, denied, errors } = await traffic.end();
    t.diagnostic(`answered: tcp ${tcp.answered}, udp ${udp.answered}, new ${fresh.answered}; denied ${denied}`);
    const lost = { tcp: tcp.sent - tcp.answered, udp: udp.sent - udp.answered, fresh: fresh.sent - fresh.answered };
    assert.deepEqual(lost, { tcp: 0, udp: 0, fresh: 0 }, 'requests were lost');
    assert.deepEqual(errors, []);
    assert.ok(denied > 0);
    assert.equal(await arrivedAt(serverPlace()), arrivedBefore, 'denied packets arrived');
  }

  /** Asserts that a change made now reaches the packets, and takes it back. */
  async function changesArrive(traffic: PodTraffic): Promise<void> {
    const { switched } = await traffic.until('to begin', () => true);
    await apply([clientRule('Allow')]);
    await traffic.until('answers from a port that is allowed now', (now) => now.switched.answered > switched.answered);
    await apply([clientRule('Deny')]);
    await untilProgrammed(CLIENT_RULE);
  }

  async function ready(): Promise<void> {
    for (const each of ['daemonset/podwall-node', 'statefulset/podwall-etcd', 'deployment/podwall-controller'])
      await kube(['-n', SYSTEM, 'rollout', 'status', each, '--timeout=120s'], { timeoutMs: 130_000 });
  }

  const deletePods = (name: string, ...options: readonly string[]) =>
    kube(['-n', SYSTEM, 'delete', 'pod', ...component(name), ...options], { timeoutMs: 90_000 });

  it('agent and dp are deleted on every node', (t) =>
    undisturbed(t, async (traffic) => {
      await deletePods('node');
      await traffic.goesOn();
      await ready();
      await changesArrive(traffic);
    }));

  it('agent and dp are killed on every node', (t) =>
    undisturbed(t, async (traffic) => {
      await deletePods('node', '--grace-period=0', '--force');
      await ready();
      await changesArrive(traffic);
    }));

  it('etcd is deleted with all that it holds', (t) =>
    undisturbed(t, async (traffic) => {
      await deletePods('etcd');
      await traffic.goesOn();
      await ready();
      await changesArrive(traffic);
      await untilProgrammed(SERVER_RULE);
    }));

  it('the leading controller hangs: the other takes over within 15 s', (t) =>
    undisturbed(t, async (traffic) => {
      const { spec: old } = await lease();
      const { metadata, spec } = await leader(old.holderIdentity);
      const stopped = Date.now();
      await signalController(spec.nodeName, metadata.name, 'STOP');
      try {
        await apply([clientRule('Allow')]);
        const now = await anotherThan(old.holderIdentity);
        const ms = Date.parse(now.acquireTime) - stopped;
        t.diagnostic(`another led after ${ms} ms`);
        assert.ok(ms < TAKE_OVER_MS, `${ms} ms`);
        await traffic.until('what was changed without a leader', ({ switched }) => switched.answered > 0);
      } finally {
        await signalController(spec.nodeName, metadata.name, 'CONT');
      }
      await apply([clientRule('Deny')]);
      await untilProgrammed(CLIENT_RULE);
      await ready();
    }));

  it('the leading controller is deleted', (t) =>
    undisturbed(t, async (traffic) => {
      const { spec: old } = await lease();
      const { metadata } = await leader(old.holderIdentity);
      await kube(['-n', SYSTEM, 'delete', 'pod', metadata.name, '--grace-period=0', '--force']);
      await changesArrive(traffic);
      await anotherThan(old.holderIdentity);
      await ready();
    }));

  const lease = () => json('-n', SYSTEM, 'get', 'lease', 'podwall-controller');

  async function leader(holder: string) {
    const { items } = await json('-n', SYSTEM, 'get', 'pods', ...component('controller'));
    return items.find(({ metadata }: Named) => holder.includes(metadata.name)) ?? assert.fail(`no pod is ${holder}`);
  }

  const anotherThan = (holder: string) =>
    waitFor(
      'another leader',
      async () => {
        const { spec } = await lease();
        return spec.holderIdentity && spec.holderIdentity !== holder ? spec : undefined;
      },
      WAIT,
    );

  async function signalController(node: string, pod: string, signal: 'STOP' | 'CONT'): Promise<void> {
    const search = `for p in $(pgrep -f '^node controller/main.ts'); do
      tr '\\0' '\\n' <"/proc/$p/environ" | grep -qx "HOSTNAME=$0" && kill -${signal} "$p" && found=1; done; test "$found"`;
    const { code, stderr } = await onNode(node, 'sh', '-c', search, pod);
    assert.equal(code, 0, `${pod} does not run on ${node} ${stderr}`);
  }

  it('an agent hangs: status says within 30 s that it is not known, and of which node', (t) =>
    undisturbed(t, async (traffic) => {
      const stopped = Date.now();
      await signalAgent(at(0), 'STOP');
      try {
        const told = await waitFor(
          'the status to tell',
          async () => {
            const now = await conditionOf(CLIENT_RULE, 'Programmed');
            return now?.status === 'Unknown' ? now : undefined;
          },
          WAIT,
        );
        const ms = Date.now() - stopped;
        t.diagnostic(`told after ${ms} ms: ${told.message}`);
        assert.match(told.message, new RegExp(`\\b${at(0)}\\b`));
        assert.ok(ms < UNKNOWN_MS, `${ms} ms`);
        await traffic.goesOn();
      } finally {
        await signalAgent(at(0), 'CONT');
      }
      await untilProgrammed(CLIENT_RULE);
    }));

  async function signalAgent(node: string, signal: 'STOP' | 'CONT'): Promise<void> {
    const { code, stderr } = await onNode(node, 'pkill', `-${signal}`, '-f', '^node agent/main.ts');
    assert.equal(code, 0, `no agent runs on ${node} ${stderr}`);
  }

  it('a node is drained: the pod that moves is policed where it comes to run', async () => {
    await apply([
      moving(at(1)),
      ...['friend', 'stranger'].map((name) =>
        pod({ namespace: SPACE, name, node: at(0), image: 'localhost/tools:1', labels: { app: name } }),
      ),
      movingRule,
    ]);
    for (const name of ['friend', 'stranger']) await untilPhase(SPACE, name, 'Running');
    await kube(['-n', SPACE, 'rollout', 'status', 'deployment/moving', '--timeout=60s'], WAIT);
    await untilProgrammed(MOVING);
    const before = await movingPod();
    assert.equal(before.spec.nodeName, at(1));
    await policed(before.status.podIP);
    await kube(['drain', at(1), '--pod-selector=app=moving', '--ignore-daemonsets', '--timeout=60s'], WAIT);
    const moved = await waitFor(
      'the pod on the other node',
      async () => {
        const now = await movingPod();
        return now?.spec.nodeName === at(0) && now.status.phase === 'Running' ? now : undefined;
      },
      WAIT,
    );
    await policed(moved.status.podIP);
    await untilProgrammed(MOVING);
    const nodesOf = () => kube(['-n', SPACE, 'get', 'networkrule', 'moving', '-o', 'jsonpath={.status.summary.nodes}']);
    assert.ok(await poll(async () => (await nodesOf()) === '1/1' || undefined, WAIT), await nodesOf());
    await kube(['uncordon', at(1)]);
  });

  /** Since its first packet: who may not is tried first. */
  async function policed(ip: string): Promise<void> {
    assert.equal(await reaches('stranger', ip), false, 'a stranger came through');
    const isReached = async () => (await reaches('friend', ip)) || undefined;
    assert.ok(await poll(isReached, WAIT), 'the friend was dropped');
    assert.equal(await reaches('stranger', ip), false, 'a stranger came through');
  }

  const reaches = async (from: string, ip: string): Promise<boolean> =>
    (await inPod(SPACE, from, 'curl', '-s', '-m', '2', '-o', '/dev/null', `http://${ip}:8080/hostname`)).code === 0;

  const movingPod = async () => {
    const { items } = await json('-n', SPACE, 'get', 'pods', '-l', 'app=moving');
    return items.find(({ metadata }: Named) => metadata.deletionTimestamp === undefined);
  };
});

type Named = { readonly metadata: { readonly name: string; readonly deletionTimestamp?: string } };

const MOVING = { namespace: SPACE, name: 'moving' };

/** On this node as long as it takes pods. */
const moving = (node: string) => {
  const term = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] };
  const preferred = [{ weight: 100, preference: term }];
  const container = { name: 'main', image: 'localhost/agnhost:1', imagePullPolicy: 'Never', args: ['netexec'] };
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: MOVING },
    spec: {
      selector: { matchLabels: { app: 'moving' } },
      template: {
        metadata: { labels: { app: 'moving' } },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [container],
          affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } },
        },
      },
    },
  };
};

const movingRule = {
  ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: MOVING },
  spec: {
    selector: { matchLabels: { app: 'moving' } },
    ingress: [
      {
        name: 'friend',
        action: 'Allow',
        from: [{ podSelector: { matchLabels: { app: 'friend' } } }],
        ports: ['tcp/8080'],
      },
    ],
  },
};
