// Numbered traffic between two pods while something happens to Podwall, and what became of it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from '../lab/command.ts';
import { waitFor } from '../lab/wait.ts';
import type { Report } from '../traffic/client.ts';
import { kubectl } from './kubectl.ts';
import { REPOSITORY } from './places.ts';
import { apply, cluster, inPod, kube, pod, untilPhase } from './under-test.ts';

const PROGRESS_TIMEOUT_MS = 60_000;
/** What counts as traffic going on: 100 more answers at 10 ms each. */
const PROGRESS_ANSWERS = 100;
const PROGRESS_FRESH = 20;
/** The image with Node. */
const IMAGE = 'localhost/podwall:dev';
const CODE = ['client.ts', 'server.ts', 'exchange.ts', 'ports.ts'];

/** The code of e2e/traffic, which no image has. */
const codeOf = (namespace: string): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, name: 'traffic' },
  data: Object.fromEntries(CODE.map((name) => [name, readFileSync(join(REPOSITORY, 'e2e/traffic', name), 'utf8')])),
});

export type Place = {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
};

const running = (place: Place, args: readonly string[]): object => {
  const made = pod({ ...place, image: IMAGE, args }) as { spec: { containers: readonly object[] } };
  const containers = made.spec.containers.map((each) => ({
    ...each,
    volumeMounts: [{ name: 'code', mountPath: '/traffic' }],
  }));
  return { ...made, spec: { ...made.spec, containers, volumes: [{ name: 'code', configMap: { name: 'traffic' } }] } };
};

const logs = ({ namespace, name }: Place, ...options: readonly string[]): Promise<string> =>
  kube(['-n', namespace, 'logs', name, ...options]);

/** Starts the peer, and resolves to its address once it listens. */
export async function startServer(place: Place): Promise<string> {
  await apply([codeOf(place.namespace), running(place, ['/traffic/server.ts'])]);
  await untilPhase(place.namespace, place.name, 'Running');
  const isReady = async () => (await logs(place)).startsWith('ready') || undefined;
  await waitFor('the peer to listen', isReady, { timeoutMs: PROGRESS_TIMEOUT_MS });
  return kube(['-n', place.namespace, 'get', 'pod', place.name, '-o', 'jsonpath={.status.podIP}']);
}

/** How many packets have arrived on the server's denied ports so far. */
export const arrivedAt = async (server: Place): Promise<number> =>
  (await logs(server)).split('\n').filter((line) => line.startsWith('arrived')).length;

export class PodTraffic {
  readonly #client: Place;

  private constructor(client: Place) {
    this.#client = client;
  }

  /** `client` is made for this traffic, and goes with its end. */
  static async start(client: Place, host: string): Promise<PodTraffic> {
    await apply([running(client, ['/traffic/client.ts', host])]);
    await untilPhase(client.namespace, client.name, 'Running');
    return new PodTraffic(client);
  }

  /** Resolves once `enough` is true of how far it has got. */
  until(what: string, enough: (now: Report) => boolean): Promise<Report> {
    const attempt = async () => {
      const now = await this.#last();
      return now && enough(now) ? now : undefined;
    };
    return waitFor(`traffic: ${what}`, attempt, { timeoutMs: PROGRESS_TIMEOUT_MS });
  }

  /** Resolves once many more requests of every kind have been answered. */
  async goesOn(): Promise<void> {
    const { tcp, udp, fresh } = await this.until('to begin', (now) => now.fresh.answered > 0);
    await this.until(
      'more answers of every kind',
      (now) =>
        now.tcp.answered >= tcp.answered + PROGRESS_ANSWERS &&
        now.udp.answered >= udp.answered + PROGRESS_ANSWERS &&
        now.fresh.answered >= fresh.answered + PROGRESS_FRESH,
    );
  }

  /** Ends it, and returns all that it did. */
  async end(): Promise<Report> {
    const { namespace, name } = this.#client;
    // Deleting the pod would take its last words away.
    await inPod(namespace, name, 'node', '-e', 'process.kill(1, "SIGTERM")');
    await untilPhase(namespace, name, 'Succeeded');
    const report = await this.#last();
    assert.ok(report?.isFinal, 'the traffic client was killed before it had told all');
    await mustRun(kubectl(cluster, '-n', namespace, 'delete', 'pod', name, '--now'));
    return report;
  }

  async #last(): Promise<Report | undefined> {
    const line = await logs(this.#client, '--tail=1');
    return line.endsWith('}') ? (JSON.parse(line) as Report) : undefined; // what the client writes is of this type
  }
}
