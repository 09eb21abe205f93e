// The Helm chart: what it refuses, and that what it installs enforces a rule on real pods.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mustRun, run } from '../lab/command.ts';
import { poll, waitFor } from '../lab/wait.ts';
import { helm } from './kubectl.ts';
import { CHART, conditionOf, install, PINS, RELEASE, remove, SYSTEM } from './release.ts';
import { apply, cluster, inPod, kube, namespace, onNode, pod, provider, untilPhase } from './under-test.ts';

const SHOP = 'shop';
const INSTALL_TIMEOUT_MS = 180_000;
const SETTLE_TIMEOUT_MS = 60_000;

const render = (...options: readonly string[]) => run(helm(cluster, 'template', RELEASE, CHART, ...options));

describe('the chart', () => {
  it('passes helm lint', async () => {
    const { code, stdout } = await run(helm(cluster, 'lint', '--strict', CHART));
    assert.equal(code, 0, stdout);
  });

  const refused = [
    [['controller.replicas=many'], /controller\/replicas/],
    [['controler.replicas=1'], /controler/],
    [['etcd.enabled=false'], /etcd\/external\/url/],
    [['etcd.external.url=http://etcd:2379'], /etcd\/external\/url/],
    [['dp.log=everything'], /dp\/log/],
    [['agent.resolver=dns.example'], /agent\/resolver/],
    [['metrics.ports.dp=80'], /metrics\/ports\/dp/],
  ] as const;
  for (const [settings, says] of refused)
    it(`refuses ${settings.join()} and says where`, async () => {
      const { code, stderr } = await render(...settings.flatMap((setting) => ['--set', setting]));
      assert.notEqual(code, 0);
      assert.match(stderr, says);
    });

  it('uses an etcd of the user’s own', async () => {
    const own = ['url=https://etcd.example:2379', 'controllerSecret=c', 'agentSecret=a'];
    const settings = ['etcd.enabled=false', ...own.map((each) => `etcd.external.${each}`)];
    const { stdout, stderr } = await render(...settings.flatMap((setting) => ['--set', setting]));
    assert.match(stdout, /--etcd=https:\/\/etcd\.example:2379/, stderr);
    assert.doesNotMatch(stdout, /StatefulSet|--etcd-grant/);
  });
});

describe('the chart’s ServiceMonitor', () => {
  const settings = [
    '--set',
    'metrics.serviceMonitor.enabled=true',
    '--set',
    'metrics.serviceMonitor.labels.release=prom',
  ];

  it('is there where it is asked for, with a Service for every port that serves metrics', async () => {
    const { stdout } = await render(...settings, '--show-only', 'templates/metrics.yaml');
    assert.match(stdout, /kind: ServiceMonitor\n[\s\S]* release: prom\n/);
    const ports = [...stdout.matchAll(/- \{ port: (\S+), path: \/metrics/g)].map(([, port]) => port);
    assert.deepEqual(ports, ['metrics', 'agent-metrics', 'dp-metrics']);
    for (const port of ports)
      assert.match(stdout, new RegExp(`- \\{ name: ${port}, port: \\d+, targetPort: ${port} \\}`));
  });

  it('is not there unless told, as a cluster may not know the kind', async () => {
    assert.doesNotMatch((await render()).stdout, /monitoring\.coreos\.com/);
  });
});

describe('what the chart installs', () => {
  let node = '';
  const ips = new Map<string, string>();

  before(async () => {
    [node = ''] = await provider().nodes(cluster);
    await apply([
      namespace(SHOP),
      ...['allowed', 'denied'].map((name) =>
        pod({ namespace: SHOP, name, node, image: 'localhost/agnhost:1', args: ['netexec'] }),
      ),
      pod({ namespace: SHOP, name: 'client', node, image: 'localhost/tools:1', labels: { app: 'client' } }),
    ]);
    for (const name of ['allowed', 'denied', 'client']) {
      await untilPhase(SHOP, name, 'Running');
      ips.set(name, await kube(['-n', SHOP, 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}']));
    }
    for (const name of ['allowed', 'denied'])
      await waitFor(`${name} to answer`, async () => (await reaches(name)) || undefined, {
        timeoutMs: SETTLE_TIMEOUT_MS,
      });
    await install();
    await apply([ruleTo('allowed')]);
  });

  const ruleTo = (name: string) => ({
    apiVersion: 'podwall.io/v1alpha1',
    kind: 'NetworkRule',
    metadata: { namespace: SHOP, name: 'client' },
    spec: {
      selector: { matchLabels: { app: 'client' } },
      mode: 'Protect',
      egress: [{ name: 'web', action: 'Allow', to: [{ ip: ips.get(name) }], ports: ['tcp/8080'] }],
    },
  });

  after(() => remove([SHOP]));

  const reaches = async (name: string): Promise<boolean> => {
    const url = `http://${ips.get(name)}:8080/hostname`;
    return (await inPod(SHOP, 'client', 'curl', '-s', '-m', '2', '-o', '/dev/null', url)).code === 0;
  };

  it('is ready: etcd, two controllers, and agent and dp on every node', async () => {
    const pods = await kube(['-n', SYSTEM, 'get', 'pods', '-o', 'jsonpath={range .items[*]}{.status.phase} {end}']);
    const nodes = await provider().nodes(cluster);
    assert.deepEqual(pods.trim().split(/\s+/), Array(nodes.length + 3).fill('Running'));
  });

  it('serves metrics and health on the address of each pod', async () => {
    const address = 'jsonpath={range .items[*]}{.spec.nodeName} {.metadata.annotations} {.status.podIP}{"\\n"}{end}';
    for (const [component, ports] of Object.entries({ controller: [9470], node: [9471, 9472] })) {
      const of = ['-l', `app.kubernetes.io/component=${component}`, '-o', address];
      const pods = (await kube(['-n', SYSTEM, 'get', 'pods', ...of])).trim().split('\n');
      assert.equal(pods.length, 2);
      for (const [on = '', annotations = '', ip = ''] of pods.map((line) => line.split(' ')))
        for (const port of ports) {
          assert.match(annotations, /"prometheus\.io\/scrape":"true"/);
          const get = async (path: string) => (await onNode(on, 'curl', '-s', `http://${ip}:${port}${path}`)).stdout;
          assert.equal(await get('/readyz'), 'ok\n', `${component} ${port} on ${on}`);
          assert.match(await get('/metrics'), /^podwall_\w+ \d/m);
        }
    }
  });

  it('enforces a rule on a real pod', async () => {
    const isDenied = await poll(async () => !(await reaches('denied')) || undefined, { timeoutMs: SETTLE_TIMEOUT_MS });
    assert.ok(isDenied, 'what no rule allows was let through');
    assert.ok(await reaches('allowed'), 'what the rule allows was dropped');
  });

  it('says in the rule’s status that it is in force', async () => {
    const rule = { namespace: SHOP, name: 'client' };
    const isTrue = async () => (await conditionOf(rule, 'Programmed'))?.status === 'True' || undefined;
    const said = await poll(isTrue, { timeoutMs: SETTLE_TIMEOUT_MS });
    assert.ok(said, await kube(['-n', SHOP, 'get', 'networkrule', 'client', '-o', 'yaml']));
  });

  it('puts an edited rule in force', async () => {
    await apply([ruleTo('denied')]);
    const isTurned = async () => ((await reaches('denied')) && !(await reaches('allowed'))) || undefined;
    assert.ok(await poll(isTurned, { timeoutMs: SETTLE_TIMEOUT_MS }));
    await apply([ruleTo('allowed')]);
    const isBack = async () => ((await reaches('allowed')) && !(await reaches('denied'))) || undefined;
    assert.ok(await poll(isBack, { timeoutMs: SETTLE_TIMEOUT_MS }));
  });

  it('refuses a rule that says nothing sensible, at kubectl apply', async () => {
    const rule = ruleTo('allowed');
    const bad = { ...rule, metadata: { ...rule.metadata, name: 'bad' }, spec: { ...rule.spec, mode: 'Perhaps' } };
    await assert.rejects(apply([bad]), /spec\.mode/);
  });

  it('has had no container that ended, and no request that the cluster refused', async () => {
    const counts = 'jsonpath={range .items[*]}{.status.containerStatuses[*].restartCount} {end}';
    const restarts = await kube(['-n', SYSTEM, 'get', 'pods', '-o', counts]);
    assert.match(restarts, /^[0 ]+$/);
    const controllers = ['-l', 'app.kubernetes.io/component=controller', '--tail=-1'];
    const said = await kube(['-n', SYSTEM, 'logs', ...controllers]);
    assert.match(said, /published/);
    assert.doesNotMatch(said, /forbidden/i);
  });

  it('goes on enforcing while agent and dp are replaced', async () => {
    const of = ['-l', 'app.kubernetes.io/component=node', '--field-selector', `spec.nodeName=${node}`];
    await kube(['-n', SYSTEM, 'delete', 'pod', ...of, '--wait'], { timeoutMs: SETTLE_TIMEOUT_MS });
    assert.equal(await reaches('denied'), false);
    assert.ok(await reaches('allowed'));
  });

  it('gives agent and dp no token, and dp no capability that it can do without', async () => {
    const daemonSet = await kube(['-n', SYSTEM, 'get', 'daemonset', `${RELEASE}-node`, '-o', 'json']);
    const { spec } = JSON.parse(daemonSet).spec.template;
    assert.equal(spec.automountServiceAccountToken, false);
    const dp = spec.containers.find(({ name }: { name: string }) => name === 'dp');
    const all: string[] = dp.securityContext.capabilities.add;
    assert.equal(await endOf('with-all', dp, spec.volumes, all), 'Running');
    for (const dropped of all) {
      const name = `without-${dropped.toLowerCase().replaceAll('_', '-')}`;
      const rest = all.filter((capability) => capability !== dropped);
      assert.equal(await endOf(name, dp, spec.volumes, rest), 'Failed', `dp runs ${name}`);
    }
  });

  /** Whether a dp with only these capabilities ends by itself, or comes to listen. */
  async function endOf(name: string, dp: DpContainer, volumes: readonly object[], add: readonly string[]) {
    const pins = `/sys/fs/bpf/${name}`;
    const securityContext = { ...dp.securityContext, capabilities: { drop: ['ALL'], add } };
    // Without its ports, which the DaemonSet's pod has on this node, and its probes of them.
    const { ports: _ports, livenessProbe: _liveness, readinessProbe: _readiness, ...rest } = dp;
    const container = { ...rest, args: ['dp/main.ts', '--standalone', '-d', 'all', '--pin', pins], securityContext };
    await apply([standalone(name, node, [container], volumes)]);
    const settled = async () => {
      const phase = await kube(['-n', SHOP, 'get', 'pod', name, '-o', 'jsonpath={.status.phase}']);
      if (phase === 'Failed') return phase;
      return phase === 'Running' && /dp started/.test(await kube(['-n', SHOP, 'logs', name])) ? phase : undefined;
    };
    const end = await poll(settled, { timeoutMs: SETTLE_TIMEOUT_MS });
    await kube(['-n', SHOP, 'delete', 'pod', name, '--now'], { timeoutMs: SETTLE_TIMEOUT_MS });
    await onNode(node, 'rm', '-rf', pins);
    return end;
  }

  it('keeps its certificates through an upgrade', async () => {
    const certificate = () =>
      kube(['-n', SYSTEM, 'get', 'secret', `${RELEASE}-etcd-agent`, '-o', 'jsonpath={.data.tls\\.crt}']);
    const before = await certificate();
    await mustRun(helm(cluster, '-n', SYSTEM, 'upgrade', RELEASE, CHART, '--reuse-values', '--set', 'dp.log=all'));
    assert.equal(await certificate(), before);
  });

  /** The kernel's number of the program that a node has in force. */
  async function programOn(each: string): Promise<string> {
    const { stdout } = await onNode(each, 'bpftool', 'prog', 'show', 'pinned', `${PINS}/in-force/from_workload`);
    return /^(\d+):/.exec(stdout)?.[1] ?? assert.fail(`${each} has no program`);
  }

  /** All nodes of the local cluster have one kernel. */
  const isLoaded = async (id: string) => (await onNode(node, 'bpftool', 'prog', 'show', 'id', id)).code === 0;

  it('is gone once uninstalled, with all that was in force', async () => {
    const nodes = await provider().nodes(cluster);
    for (const each of nodes) assert.equal((await onNode(each, 'ls', PINS)).code, 0, `${each} has pins before`);
    const programs = await Promise.all(nodes.map(programOn));
    const command = helm(cluster, '-n', SYSTEM, 'uninstall', RELEASE, '--wait', '--timeout', '170s');
    await mustRun(command, { timeoutMs: INSTALL_TIMEOUT_MS });
    assert.ok(await reaches('denied'));
    for (const each of nodes) {
      assert.notEqual((await onNode(each, 'ls', PINS)).code, 0, `${each} has no pins`);
    }
    for (const id of programs)
      assert.ok(await poll(async () => !(await isLoaded(id)) || undefined, { timeoutMs: SETTLE_TIMEOUT_MS }));
    const finalizers = 'jsonpath={.items[*].metadata.finalizers}';
    assert.equal(await kube(['get', 'crd,networkrules', '-A', '-o', finalizers]), '');
    const kinds = 'all,secrets,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets';
    const left = ['-l', `app.kubernetes.io/instance=${RELEASE}`, '-o', 'name'];
    const isGone = async () => (await kube(['-n', SYSTEM, 'get', kinds, ...left])) === '' || undefined;
    assert.ok(await poll(isGone, { timeoutMs: SETTLE_TIMEOUT_MS }), await kube(['-n', SYSTEM, 'get', kinds, ...left]));
    assert.equal(await kube(['get', 'clusterroles,clusterrolebindings', ...left]), '');
  });
});

type DpContainer = {
  readonly securityContext: object;
  readonly ports: readonly object[];
  readonly livenessProbe: object;
  readonly readinessProbe: object;
};

/** A pod with a DaemonSet's container, that is not started again. */
const standalone = (name: string, node: string, containers: readonly object[], volumes: readonly object[]) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: SHOP, name },
  spec: {
    nodeName: node,
    hostNetwork: true,
    hostPID: true,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 0,
    securityContext: { runAsUser: 0, seccompProfile: { type: 'RuntimeDefault' } },
    containers,
    volumes: volumes.filter((volume) => !('secret' in volume)),
  },
});
