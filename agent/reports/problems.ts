// What can't be done at present, in words: by what it is about, so that it goes when it is over.
const MAX_PROBLEMS = 20;

export class Problems {
  readonly #byTopic = new Map<string, string>();

  /** Undefined: it is over. True where this changes anything. */
  set(topic: string, problem: string | undefined): boolean {
    if (this.#byTopic.get(topic) === problem) return false;
    this.#byTopic.delete(topic);
    if (problem !== undefined) this.#byTopic.set(topic, problem);
    return true;
  }

  /** The newest last. */
  list(): string[] {
    return [...this.#byTopic.values()].slice(-MAX_PROBLEMS);
  }
}
