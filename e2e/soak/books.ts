// What was sent over a flow, what arrived of it, and what was answered, by number. Pure: no socket, no clock.

/** What must become of a datagram; `either`: sent while its verdict was being turned. */
export type Expectation = 'passes' | 'dropped' | 'either';

export class SequenceBook {
  /** Sent, and not arrived. */
  readonly #open = new Map<number, Expectation>();
  readonly #unanswered = new Set<number>();
  #next = 0;
  #mustPass = 0;
  #mustDrop = 0;
  #arrived = 0;
  #arrivedBytes = 0;
  #sentBytes = 0;
  #answered = 0;
  #passed = 0;
  #strangers = 0;

  /** The number of the next datagram: from 0 up, without gaps. */
  send(expectation: Expectation, bytes = 0): number {
    const number = this.#next;
    this.#next += 1;
    this.#open.set(number, expectation);
    this.#sentBytes += bytes;
    if (expectation === 'passes') this.#mustPass += 1;
    if (expectation === 'dropped') this.#mustDrop += 1;
    return number;
  }

  arrive(number: number, bytes = 0): void {
    const expectation = this.#open.get(number);
    if (expectation === undefined) {
      this.#strangers += 1;
      return;
    }
    this.#open.delete(number);
    this.#arrived += 1;
    this.#arrivedBytes += bytes;
    this.#unanswered.add(number);
    if (expectation === 'dropped') this.#passed += 1;
  }

  answer(number: number): void {
    if (!this.#unanswered.delete(number)) {
      this.#strangers += 1;
      return;
    }
    this.#answered += 1;
  }

  /** The verdict is about to turn: the last datagram, where it is still on its way, may be met by the new one. */
  unsettle(): void {
    const last = this.#next - 1;
    const expectation = this.#open.get(last);
    if (expectation === undefined || expectation === 'either') return;
    this.#open.set(last, 'either');
    if (expectation === 'passes') this.#mustPass -= 1;
    else this.#mustDrop -= 1;
  }

  /** Numbers that had to arrive and did not, or not yet. */
  missing(): number[] {
    return [...this.#open].flatMap(([number, expectation]) => (expectation === 'passes' ? [number] : []));
  }

  /** Numbers that arrived, and whose answer did not come, or not yet. */
  unanswered(): number[] {
    return [...this.#unanswered];
  }

  get sums(): Sums {
    return {
      sent: this.#next,
      sentBytes: this.#sentBytes,
      mustPass: this.#mustPass,
      mustDrop: this.#mustDrop,
      arrived: this.#arrived,
      arrivedBytes: this.#arrivedBytes,
      answered: this.#answered,
      passed: this.#passed,
      strangers: this.#strangers,
    };
  }
}

export type Sums = {
  readonly sent: number;
  readonly sentBytes: number;
  /** Of those sent: which had to arrive, and which must not. */
  readonly mustPass: number;
  readonly mustDrop: number;
  readonly arrived: number;
  readonly arrivedBytes: number;
  readonly answered: number;
  /** Arrived, and must not have. */
  readonly passed: number;
  /** Came twice, or was never sent. */
  readonly strangers: number;
};

/** Sums that are reported again and again, by name: none may ever go back. */
export class CounterBook {
  readonly #last = new Map<string, bigint>();
  readonly #backwards: string[] = [];

  take(name: string, value: bigint): void {
    const last = this.#last.get(name);
    if (last !== undefined && value < last) this.#backwards.push(`${name}: ${last}, then ${value}`);
    this.#last.set(name, value);
  }

  get(name: string): bigint | undefined {
    return this.#last.get(name);
  }

  entries(): IterableIterator<[name: string, value: bigint]> {
    return this.#last.entries();
  }

  /** Each step back, in words. */
  get backwards(): readonly string[] {
    return this.#backwards;
  }
}
