// The cluster itself: what every other end-to-end test takes for granted.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { run } from '../lab/command.ts';
import { poll } from '../lab/wait.ts';
import { apply, cluster, inPod, kube, namespace, onNode, pod, provider, untilPhase } from './under-test.ts';

const NAMESPACE = 'smoke';
const PODWALL = 'localhost/podwall:dev';
const AGNHOST = 'localhost/agnhost:1';
const TOOLS = 'localhost/tools:1';

const ipOf = (name: string) => kube(['-n', NAMESPACE, 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}']);

describe('the cluster', () => {
  let nodes: string[] = [];

  before(async () => {
    nodes = await provider().nodes(cluster);
    await apply([
      namespace(NAMESPACE),
      ...nodes.flatMap((node) => [
        pod({ namespace: NAMESPACE, name: `server-${node}`, node, image: AGNHOST, args: ['netexec'] }),
        pod({ namespace: NAMESPACE, name: `client-${node}`, node, image: TOOLS }),
      ]),
    ]);
  });

  after(() => kube(['delete', 'namespace', NAMESPACE, '--ignore-not-found']));

  it('has two nodes, both ready', async () => {
    assert.equal(nodes.length, 2);
    const conditions = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}';
    const states = await kube(['get', 'nodes', '-o', `jsonpath=${conditions}`]);
    for (const node of nodes) assert.match(states, new RegExp(`\\b${node}=True\\b`));
  });

  it('runs pods that reach each other within a node and between nodes, with their own addresses', async () => {
    for (const client of nodes)
      for (const server of nodes) {
        await untilPhase(NAMESPACE, `server-${server}`, 'Running');
        await untilPhase(NAMESPACE, `client-${client}`, 'Running');
        const url = `http://${await ipOf(`server-${server}`)}:8080/clientip`;
        // A pod runs a moment before its server listens.
        const seen = await poll(
          async () => {
            const answer = await inPod(NAMESPACE, `client-${client}`, 'curl', '-sS', '-m', '2', url);
            return answer.code === 0 ? answer.stdout : undefined;
          },
          { timeoutMs: 10_000 },
        );
        assert.equal(seen?.split(':')[0], await ipOf(`client-${client}`), `${client} to ${server}`);
      }
  });

  it('resolves the names of services from pods of each node', async () => {
    const service = await kube(['get', 'service', 'kubernetes', '-o', 'jsonpath={.spec.clusterIP}']);
    for (const node of nodes) {
      const name = 'kubernetes.default.svc.cluster.local';
      const { stdout } = await inPod(NAMESPACE, `client-${node}`, 'dig', '+short', name);
      assert.equal(stdout.trim(), service, node);
    }
  });

  it('reaches nothing outside this machine, and no interface of it leads into the cluster', async () => {
    const [node = ''] = nodes;
    const { code, stderr } = await inPod(NAMESPACE, `client-${node}`, 'curl', '-sS', '-m', '2', 'http://192.0.2.1/');
    assert.notEqual(code, 0);
    assert.match(stderr, /Could not connect|Couldn't connect|Failed to connect|No route|unreachable|timed out/i);
    if (provider().name === 'kind') return;
    const links = await run(['ip', '-o', 'link', 'show', 'type', 'veth']);
    assert.doesNotMatch(links.stdout, /node-n|outside-/);
  });

  it('has what Podwall needs on each node: NRI, CRI, a BPF file system and network namespaces', async () => {
    for (const node of nodes) {
      const sockets = await onNode(node, 'ls', '/var/run/nri/nri.sock', '/run/containerd/containerd.sock');
      assert.equal(sockets.code, 0, sockets.stderr);
      const types = await onNode(node, 'stat', '--file-system', '--format', '%T', '/sys/fs/bpf');
      assert.equal(types.stdout.trim(), 'bpf_fs', node);
      const pods = await onNode(node, 'sh', '-c', 'ls /var/run/netns | wc -l');
      assert.ok(Number(pods.stdout) >= 2, `${node} has ${pods.stdout} network namespaces of pods`);
    }
  });

  const entryPoints = [
    ['controller', /usage: .*controller/is],
    ['agent', /usage: .*agent/is],
    ['dp', /usage: .*dp/is],
    ['cli', /usage: .*podwall/is],
  ] as const;
  for (const [part, usage] of entryPoints)
    it(`runs the image’s ${part} as a pod`, async () => {
      const [node = ''] = nodes;
      const name = `help-${part}`;
      await apply([pod({ namespace: NAMESPACE, name, node, image: PODWALL, args: [`${part}/main.ts`, '--help'] })]);
      await untilPhase(NAMESPACE, name, 'Succeeded');
      assert.match(await kube(['-n', NAMESPACE, 'logs', name]), usage);
    });

  it('has no shell in the image', async () => {
    const [, node = ''] = nodes;
    await apply([
      pod({ namespace: NAMESPACE, name: 'shell', node, image: PODWALL, command: ['/bin/sh', '-c', 'true'] }),
    ]);
    const reason = 'jsonpath={.status.containerStatuses[0].state.terminated.message}';
    const said = await poll(
      async () => (await kube(['-n', NAMESPACE, 'get', 'pod', 'shell', '-o', reason])) || undefined,
      {
        timeoutMs: 30_000,
      },
    );
    assert.match(said ?? '', /no such file or directory/);
  });
});
