// What there can be at most of anything, and how whoever wanted more is told. Pure.

const number = (value: number): string => value.toLocaleString('en-US');

/** More than fits, in words: how many were wanted, how many there may be, and what to do. */
export class LimitExceeded extends Error {
  readonly code = 'LIMIT_EXCEEDED';

  /** `what`: of what, as a plural. `advice`: how to do with less. */
  constructor(what: string, wanted: number, most: number, advice?: string) {
    super(tooMany(what, wanted, most, advice));
    this.name = 'LimitExceeded';
  }
}

/** The sentence that says by how much a limit is exceeded; by infinitely many where nobody has counted on. */
export function tooMany(what: string, wanted: number, most: number, advice?: string): string {
  const sentence = Number.isFinite(wanted)
    ? `${number(wanted)} ${what}; at most ${number(most)} fit: ${number(wanted - most)} too many`
    : `more than ${number(most)} ${what}, and no more fit`;
  return advice === undefined ? sentence : `${sentence}; ${advice}`;
}

/** Throws LimitExceeded. */
export function requireRoom(what: string, wanted: number, most: number, advice?: string): void {
  if (wanted > most) throw new LimitExceeded(what, wanted, most, advice);
}
