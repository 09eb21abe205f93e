// What a command changes, in the kernel's tables and here, all of it or nothing.

export class Changes {
  #undo: (() => void)[] | undefined;
  #afterwards: (() => void)[] = [];

  /** Where `run` throws, all that it changed is undone, the last first. Not within another. */
  whole<T>(run: () => T): T {
    const undo: (() => void)[] = [];
    this.#undo = undo;
    this.#afterwards = [];
    try {
      const result = run();
      this.#undo = undefined;
      for (const step of this.#afterwards) step();
      return result;
    } catch (error) {
      this.#undo = undefined;
      for (const step of undo.reverse()) step();
      throw error;
    }
  }

  /** Whether changes may still have to be undone. */
  get areOpen(): boolean {
    return this.#undo !== undefined;
  }

  /** For what stays, whatever becomes of the command. */
  lasting(run: () => void): void {
    const undo = this.#undo;
    this.#undo = undefined;
    try {
      run();
    } finally {
      this.#undo = undo;
    }
  }

  undoBy(step: () => void): void {
    this.#undo?.push(step);
  }

  /** For what can't be undone: once all else is done. */
  afterwards(step: () => void): void {
    if (this.#undo) this.#afterwards.push(step);
    else step();
  }
}
