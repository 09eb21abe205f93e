// The numbers that dp's reports carry: gaps are lost reports, and a number that goes back is another dp.

export class ReportSequence {
  #last: number | undefined;
  #mayBeAnother = true;
  #lost = 0;

  /** Reports that never came, since the agent started. */
  get lost(): number {
    return this.#lost;
  }

  /** After a connection is made, dp may be another one, whose numbers begin anew. */
  reconnected(): void {
    this.#mayBeAnother = true;
  }

  /** False where the number can only come from a dp that was started since the last one. */
  follows(sequence: number): boolean {
    const last = this.#last;
    const mayBeAnother = this.#mayBeAnother;
    this.#last = sequence;
    this.#mayBeAnother = false;
    if (last === undefined) return true;
    if (sequence > last) {
      this.#lost += sequence - last - 1;
      return true;
    }
    return mayBeAnother;
  }
}
