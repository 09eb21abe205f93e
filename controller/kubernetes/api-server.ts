// The API server, as requests and as watches: the only file that knows @kubernetes/client-node.
import { once } from 'node:events';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { KubeConfig } from '@kubernetes/client-node';
import { fieldsOf } from '../api/fields.ts';

/** What the client library takes where it finds nothing; never what a kubeconfig has for good reason. */
const FALLBACK = 'http://localhost:8080';
const REQUEST_TIMEOUT_MS = 15_000;

/** metav1.Status and what else a refused request answers: `code` is HTTP's, 410 for a resourceVersion that is gone. */
export class ApiError extends Error {
  readonly code: number;
  /** One word in CamelCase, as in metav1.Status: NotFound, Conflict, Expired ...; empty where there was none. */
  readonly reason: string;
  /** How long the server asks to be left alone; 0 where it asks for nothing. */
  readonly retryAfterMs: number;
  constructor(what: string, code: number, reason: string, message: string, retryAfterMs = 0) {
    super(`${what}: ${code}${reason ? ` ${reason}` : ''}${message ? `: ${message}` : ''}`);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export class ApiServer {
  readonly #config: KubeConfig;

  private constructor(config: KubeConfig) {
    this.#config = config;
  }

  /**
   * By the file given, else as kubectl does: $KUBECONFIG, ~/.kube/config, the pod's own service account.
   * Throws where there is none, the file can't be read or names no cluster.
   */
  static open(kubeconfig: string | undefined): ApiServer {
    const config = new KubeConfig();
    if (kubeconfig) config.loadFromFile(kubeconfig);
    else config.loadFromDefault();
    const cluster = config.getCurrentCluster();
    if (!cluster) throw new Error('the kubeconfig has no current context with a cluster: name one in it');
    if (cluster.server === FALLBACK) throw new Error('no kubeconfig was found and this is no pod: give --kubeconfig');
    return new ApiServer(config);
  }

  get url(): string {
    return this.#config.getCurrentCluster()?.server ?? '';
  }

  /** Answers the JSON body. `path` begins with /api or /apis. Throws ApiError, or the connection's own error. */
  async call(method: Method, path: string, body?: unknown, timeoutMs = REQUEST_TIMEOUT_MS): Promise<unknown> {
    const response = await this.#send(method, path, AbortSignal.timeout(timeoutMs), body);
    return json(response);
  }

  /** The JSON objects of a watch, one a line. Ends where the server ends it; throws what `signal` or the connection does. */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<unknown> {
    const response = await this.#send('GET', path, signal);
    const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    const failed = once(response, 'error').then(([error]) => Promise.reject(error));
    failed.catch(() => undefined); // it is looked at once the lines end
    for await (const line of lines) if (line !== '') yield JSON.parse(line);
    if (!response.complete) await Promise.race([failed, Promise.reject(new Error('the watch was cut off'))]);
  }

  async #send(method: Method, path: string, signal: AbortSignal, body?: unknown): Promise<IncomingMessage> {
    const options: RequestOptions = { method, signal, headers: { accept: 'application/json' } };
    await this.#config.applyToHTTPSOptions(options);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent = request(new URL(this.url.replace(/\/$/, '') + path), {
      ...options,
      headers: { ...options.headers, ...(text === undefined ? {} : { 'content-type': contentType(method) }) },
    });
    sent.setSocketKeepAlive(true, 10_000);
    sent.end(text);
    const [response] = (await once(sent, 'response')) as [IncomingMessage]; // the event's own type
    if ((response.statusCode ?? 0) >= 300) throw await refusal(`${method} ${path}`, response);
    return response;
  }
}

const contentType = (method: Method): string =>
  method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';

async function refusal(what: string, response: IncomingMessage): Promise<ApiError> {
  const status = await json(response).catch(() => undefined);
  const { reason, message } = readStatus(status);
  const retryAfterMs = Number(response.headers['retry-after'] ?? 0) * 1000 || 0;
  return new ApiError(what, response.statusCode ?? 0, reason, message, retryAfterMs);
}

/** Of metav1.Status; empty strings for what is none. */
export function readStatus(status: unknown): {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
} {
  const { code, reason, message } = fieldsOf(status);
  return {
    code: typeof code === 'number' ? code : 0,
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? message : '',
  };
}
