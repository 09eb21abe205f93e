// What dp does with a match, by the mode of the resource that the rule comes from.
import type { PublishedResource } from '@podwall/controller/api/keyspace.ts';
import { ACTION, type Action } from '@podwall/dp/protocol/values.ts';

type Wanted = 'allow' | 'deny';

/** Outside of Protect a Deny passes, and is reported as a violation. */
export function ruleAction({ mode }: PublishedResource, wanted: Wanted): Action {
  if (wanted === 'allow') return ACTION.open;
  return mode === 'Protect' ? ACTION.deny : ACTION.violate;
}

/** In Discover, what no rule matches passes and is reported, whatever the default action is. */
export function defaultAction(resource: PublishedResource): Action {
  return resource.mode === 'Discover' ? ACTION.learn : ruleAction(resource, resource.defaultAction);
}
