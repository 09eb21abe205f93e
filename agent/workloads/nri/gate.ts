// When a pod may start: how far it is, against what the user wants held. Pure.
import type { SandboxPod } from '../sandbox.ts';
import type { Readiness } from '../source.ts';

/** What becomes of a pod whose policy is not in force in time. */
export type Startup = 'hold' | 'allow';

export type GatePolicy = {
  readonly startup: Startup;
  /** Namespaces of pods that never wait. */
  readonly exemptNamespaces: readonly string[];
};

type Candidate = Pick<SandboxPod, 'namespace' | 'name' | 'netns'>;

/** Whether the pod's start is to be answered later: once this says no, or at the deadline. */
export function isHeld(pod: Candidate, readiness: Readiness, policy: GatePolicy): boolean {
  return isGuarded(pod, policy) && readiness.kind === 'waiting' && !readiness.isLong;
}

/** Why a container of the pod must not be made now; kubelet tries again, and shows this with the pod. */
export function refusalOf(pod: Candidate, readiness: Readiness, policy: GatePolicy): string | undefined {
  if (!isGuarded(pod, policy) || policy.startup === 'allow' || readiness.kind !== 'waiting') return undefined;
  return `podwall: no policy is in force yet for ${pod.namespace}/${pod.name}, so its containers do not start: ${readiness.reason}`;
}

/** A pod on the node's own network is not Podwall's to police. */
function isGuarded({ namespace, netns }: Candidate, { exemptNamespaces }: GatePolicy): boolean {
  return netns !== undefined && !exemptNamespaces.includes(namespace);
}
