// One DaemonSet, by the Kubernetes API, with what every pod with a service account has.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { DaemonSet } from './take-off.ts';

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const TIMEOUT_MS = 10_000;

export class KubernetesError extends Error {
  readonly code = 'KUBERNETES';
}

type Server = { readonly host: string; readonly port: string; readonly ca: Buffer; readonly token: string };

export class DaemonSetClient {
  readonly #path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.#path = path;
    this.#server = server;
  }

  /** Throws KubernetesError outside a pod. */
  static inCluster(namespace: string, name: string): DaemonSetClient {
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
    if (!host || !port) throw new KubernetesError('this is no pod: run it by helm uninstall');
    try {
      const server = {
        host,
        port,
        ca: readFileSync(`${ACCOUNT}/ca.crt`),
        token: `${readFileSync(`${ACCOUNT}/token`)}`,
      };
      return new DaemonSetClient(`/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`, server);
    } catch (error) {
      throw new KubernetesError(`the pod has no service account: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** undefined where there is none. Throws KubernetesError. */
  async get(): Promise<DaemonSet | undefined> {
    return this.#call('GET');
  }

  /** `patch`: a JSON merge patch. Throws KubernetesError. */
  async patch(patch: object): Promise<void> {
    await this.#call('PATCH', patch);
  }

  async #call(method: 'GET' | 'PATCH', patch?: object): Promise<DaemonSet | undefined> {
    const { host, port, ca, token } = this.#server;
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/merge-patch+json' };
    const call = request({ host, port, ca, method, path: this.#path, headers, timeout: TIMEOUT_MS });
    call.on('timeout', () => call.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    call.on('error', (error) => reject(new KubernetesError(`${method} ${this.#path}: ${error.message}`)));
    call.on('response', (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    call.end(patch && JSON.stringify(patch));
    const { status, body } = await promise;
    if (status === 404) return undefined;
    if (status !== 200) throw new KubernetesError(`${method} ${this.#path}: ${status} ${body.slice(0, 500)}`);
    return JSON.parse(body);
  }
}
