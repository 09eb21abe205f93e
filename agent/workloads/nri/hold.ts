// Holds the pods that start until their policy is in force, as the gate says.
import type { Logger } from 'pino';
import type { SandboxPod } from '../sandbox.ts';
import { idOf, nameOf, type SourceListener } from '../source.ts';
import { type GatePolicy, isHeld, refusalOf } from './gate.ts';

type Waiting = { readonly pod: SandboxPod; readonly letGo: () => void };

export class Hold {
  readonly #policy: GatePolicy;
  readonly #listener: SourceListener;
  readonly #log: Logger;
  readonly #waiting = new Set<Waiting>();

  constructor(policy: GatePolicy, listener: SourceListener, log: Logger) {
    this.#policy = policy;
    this.#listener = listener;
    this.#log = log;
  }

  /** Resolves once the pod may go on, and at the deadline. `begin` makes the pod known. */
  async start(pod: SandboxPod, deadline: AbortSignal, begin: () => void): Promise<void> {
    const since = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    const letGo = () => resolve();
    const waiting = { pod, letGo };
    this.#waiting.add(waiting);
    deadline.addEventListener('abort', letGo, { once: true });
    this.#tellAwaited();
    begin();
    this.wake();
    await promise;
    deadline.removeEventListener('abort', letGo);
    this.#waiting.delete(waiting);
    this.#tellAwaited();
    this.#logAnswer(pod, Math.round((performance.now() - since) * 10) / 10);
  }

  refusal(pod: SandboxPod): string | undefined {
    const refusal = refusalOf(pod, this.#listener.readinessOf(pod), this.#policy);
    if (refusal !== undefined) this.#log.warn({ workload: nameOf(pod), reason: refusal }, 'container refused');
    return refusal;
  }

  /** Lets go of those that need not wait any longer. */
  wake(): void {
    for (const { pod, letGo } of this.#waiting)
      if (!isHeld(pod, this.#listener.readinessOf(pod), this.#policy)) letGo();
  }

  #tellAwaited(): void {
    this.#listener.setAwaited(new Set([...this.#waiting].map(({ pod }) => idOf(pod))));
  }

  #logAnswer(pod: SandboxPod, ms: number): void {
    const readiness = this.#listener.readinessOf(pod);
    const fields = { workload: nameOf(pod), ms };
    if (readiness.kind !== 'waiting' || pod.netns === undefined) this.#log.info(fields, 'pod may start');
    else this.#log.warn({ ...fields, reason: readiness.reason }, 'pod starts with no policy in force yet');
  }
}
