// Reads a V8 CPU profile: which functions the time went to. Pure.

export type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** µs before each sample. */
  readonly timeDeltas: readonly number[];
};

export type SelfTime = { readonly where: string; readonly ms: number };

/** Nothing to be done, or the profiler's own work. */
const LEFT_OUT = /^(\(idle\)|\(root\)|.* node:inspector:\d+)$/;

/** Time in each function itself, the longest first, without the time that nothing was to be done. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): SelfTime[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const ms = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? '(unknown)';
    if (!LEFT_OUT.test(name)) ms.set(name, (ms.get(name) ?? 0) + (timeDeltas[i] ?? 0) / 1000);
  }
  return [...ms].map(([where, time]) => ({ where, ms: time })).toSorted((a, b) => b.ms - a.ms);
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url.split('/').slice(-2).join('/');
  const name = functionName || '(anonymous)';
  return file === '' ? name : `${name} ${file}:${lineNumber + 1}`;
}

export function renderSelfTimes(times: readonly SelfTime[], count: number): string[] {
  const total = times.reduce((sum, { ms }) => sum + ms, 0);
  return times.slice(0, count).map(({ where, ms }) => {
    return `${ms.toFixed(0).padStart(6)} ms ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${where}`;
  });
}
