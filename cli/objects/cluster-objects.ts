// The objects of a cluster, listed once: what its controller goes by.
import { parseManifest } from '@podwall/controller/api/parse.ts';
import type { Resource } from '@podwall/controller/api/resources.ts';
import { ApiError, ApiServer } from '@podwall/controller/kubernetes/api-server.ts';
import { FOLLOWED } from '@podwall/controller/kubernetes/kinds.ts';
import { type Kind, listObjects } from '@podwall/controller/kubernetes/listing.ts';
import { ObjectError, type ObjectSource, type Objects } from './object-source.ts';

const NOT_FOUND = 404;
const FORBIDDEN = 403;
const WITHOUT = 'or give -f with files';

export class ClusterObjects implements ObjectSource {
  readonly #kubeconfig: string | undefined;

  /** Undefined: the one that kubectl would take, or a pod's own service account. */
  constructor(kubeconfig: string | undefined) {
    this.#kubeconfig = kubeconfig;
  }

  /** What the cluster's controller refuses is left out, and named. */
  async read(): Promise<Objects> {
    const api = this.#open();
    const lists = await Promise.all(FOLLOWED.map((kind) => read(api, kind)));
    return { resources: lists.flatMap(({ resources }) => resources), leftOut: lists.flatMap(({ leftOut }) => leftOut) };
  }

  #open(): ApiServer {
    try {
      return ApiServer.open(this.#kubeconfig);
    } catch (error) {
      throw new ObjectError([`no cluster: ${error instanceof Error ? error.message : error}; ${WITHOUT}`]);
    }
  }
}

async function read(api: ApiServer, kind: Kind): Promise<Objects> {
  const [resources, leftOut]: [Resource[], string[]] = [[], []];
  try {
    for (const { status, ...manifest } of (await listObjects(api, kind)).objects) {
      const parsed = parseManifest(kind.kind === 'Pod' || kind.kind === 'Node' ? { ...manifest, status } : manifest);
      if ('resource' in parsed) resources.push(parsed.resource);
      else leftOut.push(...parsed.refusals.map(({ message }) => message));
    }
  } catch (error) {
    if (error instanceof ApiError && error.code === NOT_FOUND) {
      return { resources, leftOut: [`${kind.kind}: this cluster does not have the kind`] };
    }
    throw new ObjectError([readError(error, api, kind)]);
  }
  return { resources, leftOut };
}

function readError(error: unknown, api: ApiServer, { kind }: Kind): string {
  const what =
    error instanceof ApiError && error.code === FORBIDDEN
      ? `its API server does not let you list every ${kind}`
      : `every ${kind} can't be listed`;
  return `${api.url}: ${what}: ${wordsOf(error)}; ${WITHOUT}`;
}

/** Where several addresses were tried, only the code is of all of them. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ('code' in error ? String(error.code) : error.name);
}
