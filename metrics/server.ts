// Serves metrics and health over HTTP: /metrics, /healthz, /readyz, to GET, and nothing else.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { hostOf, type MetricsAddress } from './address.ts';
import type { Definitions, Readings } from './definition.ts';
import { MetricsError } from './errors.ts';
import { Exposition } from './exposition.ts';
import { PROCESS_METRICS, readProcess } from './process-metrics.ts';

/** Whoever can reach the address may ask: none of it must cost much. */
const MAX_CONNECTIONS = 32;
const LIMITS = { maxHeaderSize: 8192, headersTimeout: 5000, requestTimeout: 5000, keepAliveTimeout: 5000 } as const;
const PLAIN = 'text/plain; charset=utf-8';

export type Served<Ds extends Definitions> = {
  readonly definitions: Ds;
  /** The values at this moment. */
  readonly read: () => Readings<Ds>;
  /** In words, what the process still lacks to do its work; none: it is ready. */
  readonly lacks: () => readonly string[];
  /** The values could not be read. */
  readonly onError: (error: unknown) => void;
};

type Answer = { readonly status: number; readonly type: string; readonly body: string };

export class MetricsServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Resolves once it listens; throws MetricsError where it can't. */
  static async listen<Ds extends Definitions>(at: MetricsAddress, served: Served<Ds>): Promise<MetricsServer> {
    const exposition = await Exposition.open({ ...served.definitions, ...PROCESS_METRICS }, () => ({
      ...served.read(),
      ...readProcess(),
    }));
    const server = createServer(LIMITS, (request, response) => {
      void answer(request, served, exposition)
        .catch((error: unknown): Answer => {
          served.onError(error);
          return plain(500, 'the metrics could not be read: the log says why');
        })
        .then((found) => send(response, found));
    });
    server.maxConnections = MAX_CONNECTIONS;
    server.listen(at.port, at.address);
    try {
      await once(server, 'listening');
    } catch (error) {
      throw listenError(at, error);
    }
    return new MetricsServer(server);
  }

  /** Ends also what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer<Ds extends Definitions>(
  { method, url = '' }: IncomingMessage,
  { lacks }: Served<Ds>,
  exposition: { readonly contentType: string; text(): Promise<string> },
): Promise<Answer> {
  if (method !== 'GET') return plain(405, 'only GET is answered');
  switch (url.replace(/\?.*$/, '')) {
    case '/metrics':
      return { status: 200, type: exposition.contentType, body: await exposition.text() };
    case '/healthz':
      return plain(200, 'ok');
    case '/readyz': {
      const missing = lacks();
      return missing.length === 0 ? plain(200, 'ok') : plain(503, missing.join('\n'));
    }
    default:
      return plain(404, 'there are /metrics, /healthz and /readyz');
  }
}

const plain = (status: number, line: string): Answer => ({ status, type: PLAIN, body: `${line}\n` });

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, ...(status === 405 && { allow: 'GET' }) });
  response.end(body);
}

function listenError(at: MetricsAddress, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const where = `--metrics ${hostOf(at)}`;
  if (code === 'EADDRINUSE')
    return new MetricsError('ADDRESS_TAKEN', `${where}: another process listens there: give another port`, error);
  if (code === 'EADDRNOTAVAIL')
    return new MetricsError('ADDRESS_UNUSABLE', `${where}: no interface has this address: give one that has`, error);
  if (code === 'EACCES')
    return new MetricsError(
      'ADDRESS_UNUSABLE',
      `${where}: this user may not listen there: give a port above 1023`,
      error,
    );
  return error;
}
