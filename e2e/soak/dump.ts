// Reads what dp prints on SIGUSR1. Pure.

export type Dump = {
  /** Packets of all workloads, by reason. */
  readonly drops: ReadonlyMap<string, number>;
  /** Entries that the tables of flows and of hits had no room for. */
  readonly tableLosses: number;
};

/** Undefined where the text is not whole yet. */
export function readDump(text: string): Dump | undefined {
  const losses = /^lost in the kernel: \d+ events, (\d+) hits, (\d+) flows$/m.exec(text);
  if (!losses) return undefined;
  const drops = new Map<string, number>();
  for (const [, packets, reason = ''] of text.matchAll(/^ +dropped: (\d+) packets, (.+)$/gm))
    drops.set(reason, (drops.get(reason) ?? 0) + Number(packets));
  return { drops, tableLosses: Number(losses[1]) + Number(losses[2]) };
}
