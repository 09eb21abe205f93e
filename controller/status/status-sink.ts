// Where the status of rules goes: files, or the API server.

import { fieldsOf } from '../api/fields.ts';
import type { ResourceId } from '../api/resources.ts';
import type { Condition, NetworkRuleStatus } from '../api/status.ts';

export type ResourceStatus = { readonly id: ResourceId; readonly status: NetworkRuleStatus };

/** What matters of a status for the next one. */
export type Shown = { readonly conditions: readonly Condition[]; readonly hasThreats: boolean };

export const NOTHING_SHOWN: Shown = { conditions: [], hasThreats: false };

/** Of any version's status; what can't be read of it counts as not there. */
export function readShown(status: unknown): Shown {
  const { conditions, threats } = fieldsOf(status);
  const { packets } = fieldsOf(threats);
  return {
    conditions: Array.isArray(conditions) ? conditions.filter(isCondition) : [],
    hasThreats: typeof packets === 'number' && packets > 0,
  };
}

function isCondition(value: unknown): value is Condition {
  const { type, status, lastTransitionTime } = fieldsOf(value);
  return [type, status, lastTransitionTime].every((field) => typeof field === 'string');
}

export type StatusSink = {
  /** As last written, also by an earlier run. */
  shown(id: ResourceId): Shown;
  /** What is to be shown from now on; where these are all there are, what is shown of other resources goes. */
  set(statuses: readonly ResourceStatus[], areAll: boolean): void;
};
