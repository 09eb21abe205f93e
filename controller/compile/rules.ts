// A rule resource, whichever its kind, as it is published.
import type { PublishedResource } from '../api/keyspace.ts';
import type { Rule } from '../api/resources.ts';
import { FIRST_GENERATION, type Generation } from './generations.ts';
import type { Group } from './groups.ts';
import { compileNetworkPolicy } from './network-policy.ts';
import { compileNetworkRule } from './network-rule.ts';

/** Of the 1.5 MiB that etcd takes in one request. */
const MAX_PUBLISHED_BYTES = 1024 * 1024;

/** What is published of a resource besides what it is called. */
export type PublishedBody = Omit<PublishedResource, 'uid' | 'kind' | 'namespace' | 'name' | 'generation' | 'digest'>;
export type CompiledRule<Published = PublishedResource> = {
  readonly published: Published;
  readonly groups: readonly Group[];
};

export function compileRule(rule: Rule, { generation, digest }: Generation): CompiledRule {
  const { kind, namespace, name, uid } = rule;
  const { published, groups } = rule.kind === 'NetworkPolicy' ? compileNetworkPolicy(rule) : compileNetworkRule(rule);
  const head = { uid, kind, namespace, name, generation, ...(digest === undefined ? {} : { digest }) };
  return { published: { ...head, ...published }, groups };
}

/** Undefined where etcd takes it; else what to do about it, in words. */
export function sizeFault(rule: Rule): string | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(compileRule(rule, FIRST_GENERATION).published));
  if (bytes <= MAX_PUBLISHED_BYTES) return undefined;
  return `comes to ${bytes} bytes as published, and etcd takes ${MAX_PUBLISHED_BYTES}: split it into several`;
}

/** Those that go first first: by tier, priority, namespace and name. */
export function byPrecedence(a: PublishedResource, b: PublishedResource): number {
  return (
    a.tier - b.tier || a.priority - b.priority || compareText(a.namespace, b.namespace) || compareText(a.name, b.name)
  );
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
