// How far a workload is on its way to a policy in force. Pure.
import type { EnforcementState } from '../dp/enforcement.ts';
import type { WorkloadTarget } from '../policy/targets.ts';
import type { Absence } from './links.ts';
import type { Readiness } from './source.ts';

export type Progress = {
  /** Why its interface is not there. */
  readonly absence: Absence | undefined;
  /** Once its interface is. */
  readonly policed: WorkloadTarget | undefined;
  readonly enforced: EnforcementState | undefined;
  readonly isDpConnected: boolean;
  readonly isStoreConnected: boolean;
};

export function readiness({ absence, policed, enforced, isDpConnected, isStoreConnected }: Progress): Readiness {
  if (absence?.kind === 'unusable') return { kind: 'unpoliced', reason: absence.reason };
  // What is in force stays so while dp or etcd is away, and while the next policy is on its way.
  if (enforced?.inForce) return { kind: 'inForce' };
  if (!isDpConnected) return wait('dp does not answer on this node', true);
  if (!policed) return wait(absence?.reason ?? 'the agent does not know its interface yet');
  if (policed.waiting !== undefined) return wait(policed.waiting, !isStoreConnected);
  return wait(enforced?.error ?? 'dp has not confirmed its policy yet');
}

const wait = (reason: string, isLong = false): Readiness => ({ kind: 'waiting', reason, isLong });
