// What becomes of the node's DaemonSet while Podwall is uninstalled. Pure.

export type Container = {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly livenessProbe?: object;
  readonly readinessProbe?: object;
  readonly ports?: readonly object[];
};

/** The parts of an apps/v1 DaemonSet that matter here. */
export type DaemonSet = {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly Container[] } } };
  readonly status: {
    readonly observedGeneration?: number;
    readonly desiredNumberScheduled: number;
    readonly updatedNumberScheduled?: number;
    readonly numberReady?: number;
  };
};

/**
 * A JSON merge patch (RFC 7386): agent and dp end on every node at once, and then dp's container runs again to detach,
 * with the rights and mounts that it had. Throws where the DaemonSet has no container of that name.
 */
export function takingOff({ spec }: DaemonSet): object {
  const dp = spec.template.spec.containers.find(({ name }) => name === 'dp');
  if (!dp) throw new TypeError('the DaemonSet has no container dp: is it Podwall’s?');
  const { image } = dp;
  // Ready as long as it runs, which it does once the one before it has ended well.
  const waiting = { name: 'done', image, args: ['--eval', 'setInterval(() => undefined, 1e9)'] };
  // What runs before the others may have no probes.
  const { livenessProbe: _liveness, readinessProbe: _readiness, ports: _ports, ...rest } = dp;
  const detaching = { ...rest, name: 'detach', args: [...(dp.args ?? []), '--detach'] };
  return {
    spec: {
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%' } },
      template: { spec: { initContainers: [detaching], containers: [waiting], terminationGracePeriodSeconds: 1 } },
    },
  };
}

/** Nodes on which nothing was taken off yet, as far as is known. */
export function remaining({ metadata, status }: DaemonSet): number {
  const { desiredNumberScheduled: desired, updatedNumberScheduled: updated = 0, numberReady: ready = 0 } = status;
  const isSeen = (status.observedGeneration ?? 0) >= metadata.generation;
  return isSeen ? desired - Math.min(updated, ready) : desired;
}

export function isDone(daemonSet: DaemonSet): boolean {
  const { metadata, status } = daemonSet;
  return (status.observedGeneration ?? 0) >= metadata.generation && remaining(daemonSet) <= 0;
}
