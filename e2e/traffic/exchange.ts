// Counts numbered requests and their answers; what is never answered is lost.

export type Tally = {
  readonly sent: number;
  readonly answered: number;
  /** Of an answer, in milliseconds. */
  readonly slowestMs: number;
};

export class Exchange {
  readonly #sentAt = new Map<number, number>();
  #sent = 0;
  #answered = 0;
  #slowestMs = 0;

  /** Call it when the request is sent; returns its number. */
  send(): number {
    this.#sent += 1;
    this.#sentAt.set(this.#sent, performance.now());
    return this.#sent;
  }

  /** An answer that comes twice counts once. */
  takeAnswer(number: number): void {
    const sentAt = this.#sentAt.get(number);
    if (sentAt === undefined) return;
    this.#sentAt.delete(number);
    this.#answered += 1;
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - sentAt);
  }

  get outstanding(): number {
    return this.#sentAt.size;
  }

  get tally(): Tally {
    return { sent: this.#sent, answered: this.#answered, slowestMs: Math.round(this.#slowestMs) };
  }
}
