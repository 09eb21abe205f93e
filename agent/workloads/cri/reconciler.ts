// Compares what is known of the node's sandboxes with the runtime's own list, from time to time.
import type { Logger } from 'pino';
import type { Sandboxes } from '../sandbox.ts';
import { RuntimeService } from './runtime-service.ts';

/** Where the runtime tells of pods as they start and stop. */
const CHECK_MS = 30_000;
/** Where it does not; its events say most of it sooner. */
const ALONE_MS = 1000;
const RETRY_MS = 1000;

export type ReconcilerOptions = {
  readonly socketPath: string;
  readonly sandboxes: Sandboxes;
  readonly log: Logger;
  readonly onChange: () => void;
  readonly onProblem: (problem: string | undefined) => void;
};

export class Reconciler implements AsyncDisposable {
  readonly #options: ReconcilerOptions;
  readonly #runtime: RuntimeService;
  readonly #stop = new AbortController();
  /** While events are followed. */
  #events: AbortController | undefined;
  #isAlone = true;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isAskedAgain = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#runtime = new RuntimeService(options.socketPath);
  }

  /** Nobody else tells of pods: from now on, this does all of it. */
  setAlone(isAlone: boolean): void {
    this.#isAlone = isAlone;
    if (!isAlone) this.#events?.abort();
  }

  /** Compares now. */
  check(): void {
    if (this.#running) this.#isAskedAgain = true;
    else this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#events?.abort();
    clearTimeout(this.#timer);
    this.#runtime[Symbol.dispose]();
    await this.#running;
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    const waitMs = await this.#compare();
    this.#running = undefined;
    if (this.#stop.signal.aborted) return;
    if (this.#isAskedAgain) {
      this.#isAskedAgain = false;
      this.check();
    } else this.#timer = setTimeout(() => this.check(), waitMs);
  }

  /** Answers after how many ms to compare again. */
  async #compare(): Promise<number> {
    const { sandboxes, onChange, onProblem, log, socketPath } = this.#options;
    try {
      const listed = await this.#runtime.list();
      let isChanged = sandboxes.endUnlisted(new Set(listed.map(({ id }) => id)));
      for (const item of listed.filter(({ id }) => !sandboxes.has(id))) {
        const pod = await this.#runtime.pod(item);
        if (pod) isChanged = sandboxes.add(pod) || isChanged;
      }
      if (this.#stop.signal.aborted) return 0;
      onProblem(undefined);
      if (isChanged) onChange();
      if (this.#isAlone) void this.#followEvents(); // again, where they ended
      return this.#isAlone ? ALONE_MS : CHECK_MS;
    } catch (error) {
      if (this.#stop.signal.aborted) return 0;
      const reason = error instanceof Error ? error.message : String(error);
      log.debug({ path: socketPath, reason }, 'runtime does not list its pods');
      onProblem(`the container runtime at ${socketPath} does not list its pods: ${reason}`);
      return RETRY_MS;
    }
  }

  async #followEvents(): Promise<void> {
    if (this.#events) return;
    const events = new AbortController();
    this.#events = events;
    await this.#runtime.follow(() => this.check(), events.signal);
    this.#events = undefined;
  }
}
