// For tests: waits for what another process does. A test that waits in vain fails; how long it took decides nothing.

const PATIENCE_MS = 20_000;

/** Something that others wait for to change. */
export class Changes {
  #waiting: (() => void)[] = [];

  /** To be called after each change. */
  happened(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const look of waiting) look();
  }

  /** The first value of `attempt` that is not undefined; throws with `what` after 20 s. */
  async until<T>(what: () => string, attempt: () => T | undefined): Promise<T> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.happened();
    }, PATIENCE_MS);
    try {
      for (;;) {
        const value = attempt();
        if (value !== undefined) return value;
        if (isLate) throw new Error(`waited in vain for ${what()}`);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
