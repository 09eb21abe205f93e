// What every part of the bench is given.

export type Bench = {
  /** Aborted when everything must end. */
  readonly signal: AbortSignal;
  readonly isQuick: boolean;
  /** Interleaved runs of each figure. */
  readonly rounds: number;
  /** Of each load of traffic. */
  readonly seconds: number;
  /** Tells whoever waits what is being measured. */
  readonly say: (what: string) => void;
};
