// The pods of a container runtime: a sandbox each, with a network namespace unless it is the node's own.
import type { NamespaceName } from './netns/pod-link.ts';
import { idOf, type Place } from './source.ts';

export type SandboxPod = {
  /** The runtime's id of it. A pod whose sandbox failed gets another one. */
  readonly sandbox: string;
  /** Absent for one from a file on the node, which the API server knows by another uid. */
  readonly uid?: string;
  readonly namespace: string;
  readonly name: string;
  /** Absent for a pod in the node's own network namespace. */
  readonly netns?: NamespaceName;
};

type Held = {
  readonly pod: SandboxPod;
  /** The runtime has listed it: once it does not, the pod has ended. */
  isListed: boolean;
};

/** Every CNI calls a pod's own interface this. */
const INTERFACE = 'eth0';

const SOURCE_ANNOTATION = 'kubernetes.io/config.source';
const FROM_API = 'api';

/** What is known of this node's sandboxes, by what the runtime tells as it happens and by its lists. Pure. */
export class Sandboxes {
  #held = new Map<string, Held>();

  has(sandbox: string): boolean {
    return this.#held.has(sandbox);
  }

  /** False where it was known. The runtime lists a sandbox only after its start was answered. */
  add(pod: SandboxPod): boolean {
    if (this.#held.has(pod.sandbox)) return false;
    this.#held.set(pod.sandbox, { pod, isListed: false });
    return true;
  }

  /** False where it was not known. */
  remove(sandbox: string): boolean {
    return this.#held.delete(sandbox);
  }

  /** All that run now. */
  replace(pods: readonly SandboxPod[]): void {
    this.#held = new Map(pods.map((pod) => [pod.sandbox, { pod, isListed: true }]));
  }

  /** Takes away those that the runtime has listed before, and no longer does. True where there were any. */
  endUnlisted(listed: ReadonlySet<string>): boolean {
    const before = this.#held.size;
    for (const [sandbox, held] of this.#held) {
      if (listed.has(sandbox)) held.isListed = true;
      else if (held.isListed) this.#held.delete(sandbox);
    }
    return this.#held.size < before;
  }

  /** Where the interfaces are, one a pod: of its newest sandbox. */
  places(): Place[] {
    const newest = new Map([...this.#held.values()].map(({ pod }) => [idOf(pod), pod]));
    return [...newest.values()].flatMap((pod) => placeOf(pod) ?? []);
  }
}

/** Undefined on the node's own network. */
export function placeOf({ sandbox: _, netns, ...identity }: SandboxPod): Place | undefined {
  return netns && { ...identity, netns, interface: INTERFACE };
}

/** `annotations`: kubelet's, of the sandbox. */
export function uidOf(uid: string, annotations: Readonly<Record<string, string>>): Pick<SandboxPod, 'uid'> {
  return (annotations[SOURCE_ANNOTATION] ?? FROM_API) === FROM_API && uid !== '' ? { uid } : {};
}
