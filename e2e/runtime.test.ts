// Pods on a real containerd: none sends before its policy is in force, whatever dies meanwhile. Needs root.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
import { keys } from '@podwall/controller/api/keyspace.ts';
import { NODE } from './lab/podwall.ts';
import { waitFor } from './lab/wait.ts';
import { missing } from './runtime/containerd.ts';
import type { Sandbox } from './runtime/pods.ts';
import { Scene, type SceneOptions, talker } from './runtime/scene.ts';

const UDP = 17;
const TIMEOUT_MS = 30_000;
const AT_ONCE = 20;

const why = missing();
if (why !== undefined) process.stderr.write(`SKIPPED, e2e/runtime.test.ts: ${why}\n`);
const options = { timeout: 300_000, skip: why ?? false };

const sleeper = ['bash', '-c', 'sleep 600'];
const hasReport = async (scene: Scene, { uid }: Sandbox) =>
  (await scene.report(keys.workloadReport(NODE, uid)))?.realized !== undefined || undefined;

/** As kubelet: tries again until the container is made; answers what it was told before. */
async function untilMade(scene: Scene, pod: Sandbox, command: readonly string[]): Promise<string[]> {
  const refusals: string[] = [];
  const attempt = async () => {
    try {
      return await scene.pods.container(pod, command);
    } catch (error) {
      refusals.push(String(error));
      return undefined;
    }
  };
  await scene.pods.start(await waitFor('the container', attempt, { timeoutMs: TIMEOUT_MS, everyMs: 300 }));
  return refusals;
}

/** A pod of which the controller knows. */
async function published(scene: Scene, name: string, isRuled = true): Promise<Sandbox> {
  const uid = randomUUID();
  await scene.publish({ name, uid }, isRuled);
  return scene.pods.sandbox({ namespace: 'shop', name, uid });
}

/** Every allowed packet of the pods came, and no denied one left. */
async function assertJudged(scene: Scene, pods: readonly Sandbox[]): Promise<void> {
  for (const pod of pods) assert.deepEqual(await scene.said(pod), ['hello', 'done', ''], pod.config.metadata?.name);
  const names = pods.map(({ config }) => config.metadata?.name ?? '');
  const expected = names.flatMap((name) => [1, 2, 3].map((i) => `${name} ${i}`)).toSorted();
  const udp = (await scene.seenBy('allowed')).filter(({ protocol }) => protocol === UDP).map(({ text }) => text);
  assert.deepEqual(udp.filter((text) => names.includes(text.split(' ')[0] ?? '')).toSorted(), expected);
  assert.deepEqual(await scene.seenBy('denied'), []);
}

const reportHolds = async (scene: Scene, t: TestContext) => {
  const holds = (await scene.logged()).filter(({ msg }) => msg === 'pod may start').map(({ ms }) => Number(ms));
  const sorted = holds.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  t.diagnostic(`held, ms: p50 ${at(0.5)}, p90 ${at(0.9)}, max ${sorted.at(-1)} of ${sorted.length}`);
};

describe('a pod on containerd', options, () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.create();
  });
  after(() => scene?.[Symbol.asyncDispose]());

  it('sends nothing before its policy is in force, one after another', async (t) => {
    const pods: Sandbox[] = [];
    for (let i = 0; i < 10; i += 1) {
      const pod = await published(scene, `single-${i}`);
      await scene.pods.start(await scene.pods.container(pod, talker(`single-${i}`)));
      pods.push(pod);
    }
    await assertJudged(scene, pods);
    await reportHolds(scene, t);
    await Promise.all(pods.map((pod) => scene.pods.remove(pod)));
    const [pod] = pods;
    if (pod)
      await waitFor('its report to go', async () => !(await hasReport(scene, pod)) || undefined, {
        timeoutMs: TIMEOUT_MS,
      });
  });

  it(`sends nothing before its policy is in force, ${AT_ONCE} at once`, async (t) => {
    const start = async (_: unknown, i: number) => {
      const pod = await published(scene, `many-${i}`);
      await scene.pods.start(await scene.pods.container(pod, talker(`many-${i}`)));
      return pod;
    };
    const pods = await Promise.all(Array.from({ length: AT_ONCE }, start));
    await assertJudged(scene, pods);
    await reportHolds(scene, t);
    for (const pod of pods) await scene.pods.remove(pod);
  });

  it('that the controller has not published has no container until it has, and is told why', async () => {
    const uid = randomUUID();
    const pod = await scene.pods.sandbox({ namespace: 'shop', name: 'early', uid });
    await assert.rejects(
      scene.pods.container(pod, sleeper),
      /podwall: no policy is in force yet for shop\/early, so its containers do not start: the controller has not published/,
    );
    const address = await scene.report(keys.workloadReport(NODE, uid));
    assert.match(String(address?.ips), /^10\.77\./, 'its address is reported meanwhile');
    await scene.publish({ name: 'early', uid });
    await untilMade(scene, pod, talker('early'));
    await assertJudged(scene, [pod]);
  });

  it('whose key comes during the hold starts with it', async () => {
    const uid = randomUUID();
    const starting = scene.pods.sandbox({ namespace: 'shop', name: 'late', uid });
    const isReported = async () => (await scene.report(keys.workloadReport(NODE, uid))) && true;
    await waitFor('its address', isReported, { timeoutMs: TIMEOUT_MS, everyMs: 5 });
    await scene.publish({ name: 'late', uid });
    const pod = await starting;
    await scene.pods.start(await scene.pods.container(pod, talker('late')));
    await assertJudged(scene, [pod]);
  });

  it('on the node’s network, or of an exempt namespace, waits for nothing', async () => {
    const onNode = await scene.pods.sandbox({ namespace: 'shop', name: 'node', isOnNodeNetwork: true });
    await scene.pods.container(onNode, sleeper);
    const system = await scene.pods.sandbox({ namespace: 'kube-system', name: 'dns' });
    await scene.pods.container(system, sleeper);
    const found = (await scene.logged()).filter(({ msg }) => msg === 'workload found').map(({ workload }) => workload);
    assert.deepEqual([found.includes('shop/node'), found.includes('kube-system/dns')], [false, true]);
  });

  it('has no container while dp is away, and gets it once dp is back', async () => {
    await scene.dp.stop('SIGKILL');
    await scene.untilLogged(/"dp lost"/);
    const pod = await published(scene, 'without-dp');
    await assert.rejects(scene.pods.container(pod, sleeper), /dp does not answer on this node/);
    await scene.dp.start();
    await untilMade(scene, pod, talker('without-dp'));
    await assertJudged(scene, [pod]);
  });

  it('whose dp dies while it waits has no container until dp is back', async () => {
    scene.dp.freeze();
    const starting = published(scene, 'dp-dies');
    await scene.untilLogged(/"policy sent".*|.*shop\/dp-dies.*"workload found"/);
    await scene.dp.stop('SIGKILL');
    const pod = await starting;
    await assert.rejects(scene.pods.container(pod, sleeper), /podwall: no policy is in force yet/);
    await scene.dp.start();
    await untilMade(scene, pod, talker('dp-dies'));
    await assertJudged(scene, [pod]);
  });

  it('is guarded again once the runtime was restarted, and one from before that ends is missed', async () => {
    const pod = await published(scene, 'before');
    await scene.pods.start(await scene.pods.container(pod, sleeper));
    const known = (await scene.logged()).length;
    await scene.containerd.restart();
    await scene.untilLogged(/"runtime asks about new pods"/, known);
    const next = await published(scene, 'after');
    await scene.pods.start(await scene.pods.container(next, talker('after')));
    await assertJudged(scene, [next]);
    await scene.pods.remove(pod);
    await waitFor('its report to go', async () => !(await hasReport(scene, pod)) || undefined, {
      timeoutMs: TIMEOUT_MS,
    });
  });

  it('whose sandbox was made while the agent was away is held at its containers', async () => {
    await scene.agent.stop('SIGKILL');
    const uid = randomUUID();
    const pod = await scene.pods.sandbox({ namespace: 'shop', name: 'no-agent', uid });
    const known = (await scene.logged()).length;
    await scene.agent.start();
    await scene.untilLogged(/"runtime asks about new pods"/, known);
    await assert.rejects(scene.pods.container(pod, sleeper), /podwall: no policy is in force yet/);
    await scene.publish({ name: 'no-agent', uid });
    await untilMade(scene, pod, talker('no-agent'));
    await assertJudged(scene, [pod]);
  });

  it('whose agent dies while it waits starts unguarded, and is policed by the next agent', async () => {
    scene.dp.freeze();
    const starting = published(scene, 'agent-dies');
    await scene.untilLogged(/shop\/agent-dies.*"workload found"/);
    await scene.agent.stop('SIGKILL');
    scene.dp.thaw();
    const pod = await starting;
    await scene.pods.start(await scene.pods.container(pod, sleeper));
    await scene.agent.start();
    const isInForce = async () => {
      const { realized = {} } = (await scene.report(keys.workloadReport(NODE, pod.uid))) ?? {};
      return JSON.stringify(realized) === '{"rule-1":1}' || undefined;
    };
    await waitFor('its policy', isInForce, { timeoutMs: TIMEOUT_MS });
  });
});

const withScene = (name: string, sceneOptions: SceneOptions, run: (scene: Scene) => Promise<void>) =>
  it(name, async () => {
    await using scene = await Scene.create(sceneOptions);
    await run(scene);
  });

describe('where the user wants it otherwise', options, () => {
  withScene(
    'with --startup allow, a pod starts with no policy, and is policed later',
    { agent: ['--startup', 'allow'] },
    async (scene) => {
      const uid = randomUUID();
      const pod = await scene.pods.sandbox({ namespace: 'shop', name: 'free', uid });
      await scene.pods.start(await scene.pods.container(pod, talker('free')));
      const said = await scene.said(pod);
      assert.ok(said.includes('denied tcp came through'), said.join());
      await scene.publish({ name: 'free', uid });
      await scene.untilLogged(/shop\/free.*"policy in force"/);
    },
  );

  const required = `  [plugins.'io.containerd.nri.v1.nri'.default_validator]
    enable = true
    required_plugins = ['podwall']
`;
  withScene(
    'where the runtime requires podwall, no container is made without the agent',
    { extra: required },
    async (scene) => {
      await scene.agent.stop('SIGKILL');
      const pod = await published(scene, 'required');
      await assert.rejects(scene.pods.container(pod, sleeper), /required plugin "podwall" not present/);
      await scene.agent.start();
      await untilMade(scene, pod, talker('required'));
      await assertJudged(scene, [pod]);
    },
  );

  withScene(
    'without NRI, pods are found all the same, and status says that they are not held',
    { nri: false },
    async (scene) => {
      const pod = await published(scene, 'unguarded');
      await scene.pods.start(await scene.pods.container(pod, sleeper));
      await scene.untilLogged(/shop\/unguarded.*"policy in force"/);
      const says = async () => {
        const { errors = [] } = (await scene.report(keys.agentReport(NODE))) ?? {};
        return /pods may send before their policy applies/.test(String(errors)) || undefined;
      };
      await waitFor('the report to say so', says, { timeoutMs: TIMEOUT_MS });
      await scene.pods.remove(pod);
      await waitFor('its report to go', async () => !(await hasReport(scene, pod)) || undefined, {
        timeoutMs: TIMEOUT_MS,
      });
    },
  );
});
