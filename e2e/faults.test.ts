// Every part of Podwall dies while a workload talks: enforcement goes on, no allowed packet is lost, no denied one
// passes, and changes arrive once the part is back. Needs root.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { Lab } from './lab/lab.ts';
import type { Namespace } from './lab/namespace.ts';
import { NODE, type Podwall, startPodwall } from './lab/podwall.ts';
import type { LabProcess } from './lab/process.ts';
import { type RuleName, withAction } from './lab/rule-folder.ts';
import { waitFor } from './lab/wait.ts';
import { PORT } from './traffic/ports.ts';
import { Traffic, TrafficServer } from './traffic/traffic.ts';

const PEER_IP = '10.20.30.40';
const WORKLOAD = { name: 'client', ip: '192.168.1.100', mac: 'aa:bb:cc:dd:ee:ff', hostInterface: 'veth-client' };
const POD_ID = { namespace: 'shop', name: WORKLOAD.name } as const;
const NO_NAMES_LOOKED_UP = '127.0.0.1';
const STATUS_TIMEOUT_MS = 60_000;
const OTHER_CHANGES = 5;

const RULE: RuleName = { namespace: 'shop', name: 'talk' };
const OTHER_RULE: RuleName = { namespace: 'shop', name: 'other' };

const podManifest = stringify({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { ...POD_ID, labels: { app: 'client' } },
  spec: { nodeName: NODE },
});

const ruleManifest = ({ namespace, name }: RuleName, egress: readonly object[]): string =>
  stringify({
    apiVersion: 'podwall.io/v1alpha1',
    kind: 'NetworkRule',
    metadata: { namespace, name },
    spec: {
      selector: { matchLabels: { app: 'client' } },
      mode: 'Protect',
      priority: 100,
      defaultAction: 'Deny',
      egress,
    },
  });

const to = [{ ip: PEER_IP }];
const manifest = ruleManifest(RULE, [
  { name: 'tcp', action: 'Allow', to, ports: [`tcp/${PORT.tcp}`] },
  { name: 'udp', action: 'Allow', to, ports: [`udp/${PORT.udp}`] },
  { name: 'switched', action: 'Deny', to, ports: [`udp/${PORT.switchedUdp}`] },
]);

type Scene = {
  readonly lab: Lab;
  readonly workload: Namespace;
  readonly server: TrafficServer;
  readonly podwall: Podwall;
};

async function setScene(lab: Lab): Promise<Scene> {
  const workload = await lab.addWorkload(WORKLOAD);
  const server = await TrafficServer.start(lab, await lab.addPeer({ name: 'peer', ips: [PEER_IP] }));
  const pods = [{ ...POD_ID, netns: workload, interface: 'eth0' }];
  const podwall = await startPodwall(lab, { pods, resolver: NO_NAMES_LOOKED_UP });
  await podwall.rules.write('pods.yaml', podManifest);
  return { lab, workload, server, podwall };
}

/** Has a fault happen in the midst of traffic, and asserts that the traffic does not notice. */
async function undisturbed(scene: Scene, t: TestContext, fault: (traffic: Traffic) => Promise<void>): Promise<void> {
  const arrivedBefore = await scene.server.arrived();
  const traffic = await Traffic.start(scene.lab, `traffic ${t.name}`, scene.workload, PEER_IP);
  await traffic.goesOn();
  await fault(traffic);
  await traffic.goesOn();
  const { tcp, udp, fresh, denied, errors } = await traffic.end();
  t.diagnostic(`tcp ${tcp.answered}, udp ${udp.answered}, new connections ${fresh.answered}, denied ${denied}`);
  t.diagnostic(`slowest answers: tcp ${tcp.slowestMs} ms, udp ${udp.slowestMs} ms, new ${fresh.slowestMs} ms`);
  const lost = { tcp: tcp.sent - tcp.answered, udp: udp.sent - udp.answered, fresh: fresh.sent - fresh.answered };
  assert.deepEqual(lost, { tcp: 0, udp: 0, fresh: 0 }, 'requests were lost');
  assert.deepEqual(errors, []);
  assert.ok(denied > 0);
  assert.equal(await scene.server.arrived(), arrivedBefore, 'denied packets arrived');
}

/** Asserts that a change made now reaches the packets, and takes it back. */
async function changesArrive({ podwall: { rules } }: Scene, traffic: Traffic): Promise<void> {
  const { switched } = await traffic.until('to begin', () => true);
  assert.equal(switched.answered, 0, 'the switched port is denied');
  await rules.apply('talk.yaml', withAction(manifest, 'switched', 'Allow'), RULE);
  await traffic.until('answers from a port that is allowed now', (now) => now.switched.answered > 0);
  await rules.apply('talk.yaml', manifest, RULE);
}

const statusTells = ({ lab, podwall: { rules } }: Scene, problem: RegExp): Promise<true> =>
  waitFor(
    `the status to tell of ${problem}`,
    async () => (await rules.status(RULE)).problems.some((text) => problem.test(text)) || undefined,
    { timeoutMs: STATUS_TIMEOUT_MS, signal: lab.signal },
  );

const statusIsWhole = ({ lab, podwall: { rules } }: Scene): Promise<true> =>
  waitFor(
    'the status to tell of no problem',
    async () => {
      const { problems, programmedGeneration } = await rules.status(RULE);
      return (problems.length === 0 && programmedGeneration > 0) || undefined;
    },
    { timeoutMs: STATUS_TIMEOUT_MS, signal: lab.signal },
  );

async function crashAndRestart(part: LabProcess, traffic: Traffic): Promise<void> {
  await part.stop('SIGKILL');
  await traffic.goesOn();
  await part.start();
}

test('while parts of Podwall fail', { timeout: 600_000 }, async (t) => {
  await using lab = await Lab.create();
  const scene = await setScene(lab);
  const { podwall } = scene;

  await t.test(
    'denied packets do arrive where there is no rule, so that their absence later means something',
    async (t) => {
      const traffic = await Traffic.start(lab, `traffic ${t.name}`, scene.workload, PEER_IP);
      await traffic.goesOn();
      await traffic.end();
      assert.ok((await scene.server.arrived()) > 0);
      await podwall.rules.apply('talk.yaml', manifest, RULE);
    },
  );

  await t.test('nothing fails: the traffic itself is sound, and changes arrive', (t) =>
    undisturbed(scene, t, (traffic) => changesArrive(scene, traffic)),
  );

  await t.test('dp is killed and comes back', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await crashAndRestart(podwall.dp, traffic);
      await changesArrive(scene, traffic);
      await statusIsWhole(scene);
    }),
  );

  await t.test('dp is away for long: the status says so until it is back', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await podwall.dp.stop('SIGKILL');
      await statusTells(scene, /does not reach dp/);
      await traffic.goesOn();
      await podwall.dp.start();
      await statusIsWhole(scene);
      await changesArrive(scene, traffic);
    }),
  );

  await t.test('the agent is killed and comes back', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await crashAndRestart(podwall.agent, traffic);
      await changesArrive(scene, traffic);
    }),
  );

  await t.test('the agent is away for long: the status says so until it is back', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await podwall.agent.stop('SIGKILL');
      await statusTells(scene, /agent does not report/);
      await traffic.goesOn();
      await podwall.agent.start();
      await statusIsWhole(scene);
      await changesArrive(scene, traffic);
    }),
  );

  await t.test('dp hangs until the agent takes it for gone', (t) =>
    undisturbed(scene, t, async (traffic) => {
      podwall.dp.freeze();
      await statusTells(scene, /does not reach dp/);
      await traffic.goesOn();
      podwall.dp.thaw();
      await statusIsWhole(scene);
      await changesArrive(scene, traffic);
    }),
  );

  await t.test('the agent hangs, so that nobody takes dp’s reports, until it is taken for gone', (t) =>
    undisturbed(scene, t, async (traffic) => {
      podwall.agent.freeze();
      await statusTells(scene, /agent does not report/);
      await traffic.goesOn();
      podwall.agent.thaw();
      await statusIsWhole(scene);
      await changesArrive(scene, traffic);
    }),
  );

  await t.test('the controller is killed and comes back to a rule that has changed', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await podwall.controller.stop('SIGKILL');
      await podwall.rules.write('talk.yaml', withAction(manifest, 'switched', 'Allow'));
      await traffic.goesOn();
      await podwall.controller.start();
      await traffic.until('answers from a port that is allowed now', (now) => now.switched.answered > 0);
      await podwall.rules.apply('talk.yaml', manifest, RULE);
    }),
  );

  await t.test('etcd stops and comes back, while a rule changes', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await podwall.etcd.stop();
      await podwall.rules.write('talk.yaml', withAction(manifest, 'switched', 'Allow'));
      await traffic.goesOn();
      await podwall.etcd.start();
      await traffic.until('answers from a port that is allowed now', (now) => now.switched.answered > 0);
      await podwall.rules.apply('talk.yaml', manifest, RULE);
    }),
  );

  await t.test('etcd loses all that it holds', (t) =>
    undisturbed(scene, t, async (traffic) => {
      await podwall.etcd.stop('SIGKILL');
      await rm(lab.file('etcd'), { recursive: true });
      await podwall.etcd.start();
      await traffic.goesOn();
      await statusIsWhole(scene);
      await changesArrive(scene, traffic);
    }),
  );

  await t.test('nothing fails, and another rule of the same workload comes, changes and goes', (t) =>
    undisturbed(scene, t, async () => {
      for (let port = 1; port <= OTHER_CHANGES; port += 1) {
        const other = ruleManifest(OTHER_RULE, [{ name: 'other', action: 'Deny', to, ports: [`tcp/${port}`] }]);
        await podwall.rules.apply('other.yaml', other, OTHER_RULE);
      }
      await podwall.rules.remove('other.yaml');
    }),
  );

  await t.test('everything but the kernel is killed at once and comes back', (t) =>
    undisturbed(scene, t, async (traffic) => {
      const parts = [podwall.controller, podwall.agent, podwall.dp, podwall.etcd];
      await Promise.all(parts.map((part) => part.stop('SIGKILL')));
      await traffic.goesOn();
      for (const part of parts) await part.start();
      await changesArrive(scene, traffic);
      await statusIsWhole(scene);
    }),
  );
});
