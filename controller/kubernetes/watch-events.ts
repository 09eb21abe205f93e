// What the lines of a watch mean: pure, from a line to what it says.
// Source: Kubernetes API concepts, "Efficient detection of changes" (WatchEvent, bookmarks, 410 Gone).

import { fieldsOf } from '../api/fields.ts';
import { readStatus } from './api-server.ts';

/** A Kubernetes object as it comes, with what is needed to keep it. */
export type ApiObject = Readonly<Record<string, unknown>> & {
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly uid: string;
    readonly name: string;
    readonly resourceVersion: string;
  };
};

export type WatchEvent =
  | { readonly kind: 'put' | 'deleted'; readonly object: ApiObject }
  | { readonly kind: 'bookmark'; readonly resourceVersion: string }
  /** What was seen last is too old to go on from: list anew. */
  | { readonly kind: 'expired' }
  | { readonly kind: 'failed'; readonly message: string };

const GONE = 410;

export function readWatchEvent(line: unknown): WatchEvent {
  const { type, object } = fieldsOf(line);
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return isApiObject(object) ? { kind: 'put', object } : unreadable(line);
    case 'DELETED':
      return isApiObject(object) ? { kind: 'deleted', object } : unreadable(line);
    case 'BOOKMARK': {
      const { resourceVersion } = fieldsOf(fieldsOf(object).metadata);
      return typeof resourceVersion === 'string' ? { kind: 'bookmark', resourceVersion } : unreadable(line);
    }
    case 'ERROR': {
      const { code, reason, message } = readStatus(object);
      if (code === GONE || reason === 'Expired' || reason === 'Gone') return { kind: 'expired' };
      return { kind: 'failed', message: message || reason || 'the server ended the watch with an error' };
    }
    default:
      return unreadable(line);
  }
}

export type ListPage = {
  readonly items: readonly ApiObject[];
  readonly resourceVersion: string;
  /** Where the next page begins; empty after the last. */
  readonly next: string;
};

type ListedKind = { readonly apiVersion: string; readonly kind: string };

/** Throws where it is no list. What the API server leaves out in lists is put back: each object's own kind. */
export function readListPage(page: unknown, { apiVersion, kind }: ListedKind): ListPage {
  const { items, metadata } = fieldsOf(page);
  const { resourceVersion, continue: next } = fieldsOf(metadata);
  if (!Array.isArray(items) || typeof resourceVersion !== 'string') throw new Error(`no list of ${kind} was answered`);
  return {
    items: items.map((found): unknown => ({ apiVersion, kind, ...fieldsOf(found) })).filter(isApiObject),
    resourceVersion,
    next: typeof next === 'string' ? next : '',
  };
}

const unreadable = (line: unknown): WatchEvent => ({
  kind: 'failed',
  message: `the watch said ${JSON.stringify(line)?.slice(0, 200)}, which is not known`,
});

function isApiObject(value: unknown): value is ApiObject {
  const { uid, name, resourceVersion } = fieldsOf(fieldsOf(value).metadata);
  return [uid, name, resourceVersion].every((field) => typeof field === 'string' && field !== '');
}
