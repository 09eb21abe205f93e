// All objects of one kind, as the API server has them at one moment.
import type { ApiServer } from './api-server.ts';
import { type ApiObject, readListPage } from './watch-events.ts';

const PAGE_OBJECTS = 500;

/** Where the API server keeps a kind: `path` begins with /api or /apis. */
export type Kind = { readonly apiVersion: string; readonly kind: string; readonly path: string };

/** `resourceVersion`: where to watch on from. In pages; ends early once aborted. Throws ApiError, or the connection's own. */
export async function listObjects(
  api: ApiServer,
  kind: Kind,
  signal?: AbortSignal,
): Promise<{ readonly objects: readonly ApiObject[]; readonly resourceVersion: string }> {
  const objects: ApiObject[] = [];
  let resourceVersion = '';
  let next = '';
  do {
    const query = new URLSearchParams({ limit: String(PAGE_OBJECTS), ...(next ? { continue: next } : {}) });
    const page = readListPage(await api.call('GET', `${kind.path}?${query}`), kind);
    objects.push(...page.items);
    resourceVersion ||= page.resourceVersion;
    next = page.next;
  } while (next !== '' && !signal?.aborted);
  return { objects, resourceVersion };
}
