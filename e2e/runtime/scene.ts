// A node with a real containerd, a real etcd and Podwall's agent and dp; the test takes the controller's place.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EtcdSession } from '@podwall/agent/store/session.ts';
import { keys } from '@podwall/controller/api/keyspace.ts';
import { freePort } from '../etcd.ts';
import type { Command } from '../lab/command.ts';
import { Lab } from '../lab/lab.ts';
import { dpSockets, ETCD_PORT, ETCD_URL, NODE, podwall, startDp, startEtcd } from '../lab/podwall.ts';
import { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { Containerd, type ContainerdOptions } from './containerd.ts';
import { Pods, type PodWish, type Sandbox } from './pods.ts';

export const ALLOWED = '10.20.30.40';
export const DENIED = '10.20.30.50';
export const PORT = 8080;
const SHOP = 'shop';
const RULE = 'rule-1';
const TIMEOUT_MS = 30_000;
const NO_NAMES = '127.0.0.1:1';

export type SceneOptions = ContainerdOptions & { readonly agent?: readonly string[] };

/** A packet that a peer saw. */
export type Seen = { readonly from: string; readonly protocol: number; readonly text: string };

type Parts = Pick<Scene, 'etcd' | 'lab' | 'containerd' | 'pods' | 'dp' | 'agent'> & { readonly relay: LabProcess };

export class Scene implements AsyncDisposable {
  readonly etcd: EtcdSession;
  readonly lab: Lab;
  readonly containerd: Containerd;
  readonly pods: Pods;
  readonly dp: LabProcess;
  readonly agent: LabProcess;
  readonly #relay: LabProcess;

  private constructor(parts: Parts) {
    this.etcd = parts.etcd;
    this.lab = parts.lab;
    this.containerd = parts.containerd;
    this.pods = parts.pods;
    this.dp = parts.dp;
    this.agent = parts.agent;
    this.#relay = parts.relay;
  }

  /** Resolves once the runtime asks the agent, or the agent knows that it does not. */
  static async create(options: SceneOptions = {}): Promise<Scene> {
    const lab = await Lab.create();
    try {
      await mkdir(lab.file('logs'));
      for (const [name, ip] of Object.entries({ allowed: ALLOWED, denied: DENIED })) {
        const peer = await lab.addPeer({ name, ips: [ip] });
        await lab.start(name, peer, ['python3', join(import.meta.dirname, 'witness.py'), String(PORT)]);
      }
      const [containerd, dp] = await Promise.all([
        Containerd.start(lab, options),
        startEtcd(lab).then(() => startDp(lab)),
      ]);
      const relay = await startRelay(lab);
      const etcd = new EtcdSession({ url: relay.url });
      await etcd.put(keys.rules(RULE), JSON.stringify(rule));
      const agent = await lab.start('agent', lab.node, agentCommand(lab, containerd, options.agent ?? []));
      const pods = new Pods(containerd.socket, lab.file('logs'));
      const scene = new Scene({ etcd, lab, containerd, pods, dp, agent, relay: relay.process });
      await scene.untilLogged(/runtime asks about new pods|runtime does not ask/);
      await scene.untilLogged(/dp found/);
      return scene;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** As the controller does for a pod of this node: with the rule that allows one peer, or none. */
  async publish({ namespace = SHOP, name, uid }: Partial<PodWish> & { name: string; uid: string }, isRuled = true) {
    const resources = isRuled ? [RULE] : [];
    await this.etcd.put(keys.workload(NODE, uid), JSON.stringify({ uid, namespace, name, resources, ports: {} }));
  }

  async report(key: string): Promise<Record<string, unknown> | undefined> {
    const { entries } = await this.etcd.list({ key, isPrefix: false });
    return entries[0] && JSON.parse(entries[0].text);
  }

  async untilLogged(pattern: RegExp, after = 0): Promise<Record<string, unknown>[]> {
    const attempt = async () => {
      const found = (await this.logged()).slice(after).filter((line) => pattern.test(JSON.stringify(line)));
      return found.length > 0 ? found : undefined;
    };
    return waitFor(`the agent to log ${pattern}`, attempt, { timeoutMs: TIMEOUT_MS, signal: this.lab.signal });
  }

  /** What the agent logged, line by line. */
  async logged(): Promise<Record<string, unknown>[]> {
    const lines = (await this.agent.log()).split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line));
  }

  async seenBy(peer: 'allowed' | 'denied'): Promise<Seen[]> {
    const lines = (await readFile(this.lab.file(`${peer}.log`), 'utf8')).trim().split('\n').slice(1);
    return lines.map((line) => {
      const [from = '', protocol, , ...text] = line.split(' ');
      return { from, protocol: Number(protocol), text: text.join(' ') };
    });
  }

  /** What the pod's container printed, once it ended with `done`. */
  async said(pod: Sandbox): Promise<string[]> {
    const read = async () => {
      const text = await readFile(this.pods.logOf(pod), 'utf8').catch(() => '');
      const lines = text.split('\n').map((line) => line.split(' ').slice(3).join(' '));
      return lines.includes('done') ? lines : undefined;
    };
    return waitFor(`${pod.config.metadata?.name} to end`, read, { timeoutMs: TIMEOUT_MS, signal: this.lab.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.etcd[Symbol.dispose]();
    this.pods[Symbol.dispose]();
    await this.#relay.stop('SIGKILL');
    await this.lab[Symbol.asyncDispose]();
  }
}

/** Its first act is to send to both peers, UDP and then TCP: NAME tells the packets of a pod apart. */
export const talker = (name: string): Command => [
  'bash',
  '-c',
  `exec 3>/dev/udp/${ALLOWED}/${PORT} 4>/dev/udp/${DENIED}/${PORT}
for i in 1 2 3; do echo ${name} $i >&3; echo ${name} $i >&4; done
timeout 1 bash -c 'exec 5<>/dev/tcp/${DENIED}/${PORT} && echo denied tcp came through'
timeout 5 bash -c 'exec 6<>/dev/tcp/${ALLOWED}/${PORT} && read -u6 line && echo $line'
echo done; sleep 600`,
];

const allow = (name: string, ports: string) => ({
  ...{ name, direction: 'egress', from: 'nv.workload', to: `nv.ip.${ALLOWED}`, ports, action: 'allow' },
  applications: [],
});
const rule = {
  ...{ uid: RULE, kind: 'NetworkRule', namespace: SHOP, name: 'talk', generation: 1, tier: 200, priority: 100 },
  ...{ mode: 'Protect', defaultAction: 'deny', directions: ['egress'] },
  rules: [allow('udp', `udp/${PORT}`), allow('tcp', `tcp/${PORT}`)],
};

const agentCommand = (lab: Lab, containerd: Containerd, options: readonly string[]): Command =>
  containerd.inside(
    podwall('agent', [
      ...['--node', NODE, '--etcd', ETCD_URL, ...dpSockets(lab), '--resolver', NO_NAMES, '--workloads', 'runtime'],
      ...['--runtime-socket', containerd.socket, '--nri-socket', containerd.nriSocket, ...options],
    ]),
  );

/** From the machine's loopback, where the test runs, to etcd in the node's namespace. */
async function startRelay(lab: Lab): Promise<{ readonly process: LabProcess; readonly url: string }> {
  const port = await freePort();
  const script = join(import.meta.dirname, '../cluster/relay.ts');
  const process = await LabProcess.start({
    name: 'relay',
    command: [globalThis.process.execPath, script, String(port), lab.node.path, `127.0.0.1:${ETCD_PORT}`],
    logFile: lab.file('relay.log'),
    onUnexpectedEnd: () => undefined,
  });
  const url = `http://127.0.0.1:${port}`;
  const probe = async () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok || undefined,
      () => undefined,
    );
  await waitFor('etcd through the relay', probe, { timeoutMs: TIMEOUT_MS });
  return { process, url };
}
