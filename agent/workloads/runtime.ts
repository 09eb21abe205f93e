// Workloads from the node's container runtime: NRI tells of each pod and makes it wait, CRI lists what there is.
import type { Logger } from 'pino';
import { Reconciler } from './cri/reconciler.ts';
import { NriConnection } from './nri/connection.ts';
import type { GatePolicy } from './nri/gate.ts';
import { Hold } from './nri/hold.ts';
import { placeOf, Sandboxes, type SandboxPod } from './sandbox.ts';
import type { SourceListener, WorkloadSource } from './source.ts';

export type RuntimeOptions = GatePolicy & {
  /** The runtime's CRI socket. */
  readonly runtimePath: string;
  readonly nriPath: string;
};

export class RuntimeWorkloads implements WorkloadSource {
  readonly #listener: SourceListener;
  readonly #sandboxes = new Sandboxes();
  readonly #hold: Hold;
  readonly #nri: NriConnection;
  readonly #reconciler: Reconciler;

  constructor({ runtimePath, nriPath, ...policy }: RuntimeOptions, listener: SourceListener, log: Logger) {
    this.#listener = listener;
    this.#hold = new Hold(policy, listener, log);
    this.#reconciler = new Reconciler({
      socketPath: runtimePath,
      sandboxes: this.#sandboxes,
      log,
      onChange: () => this.#changed(),
      onProblem: (problem) => listener.setProblem('runtime', problem),
    });
    this.#nri = new NriConnection({
      socketPath: nriPath,
      log,
      pods: {
        synchronize: (pods) => this.#synchronize(pods),
        start: (pod, deadline) => this.#hold.start(pod, deadline, () => this.#add(pod)),
        refusal: (pod) => this.#refusal(pod),
        stop: (sandbox) => this.#remove(sandbox),
      },
      onConnected: () => this.#setGuarded(undefined),
      onLost: (reason) => this.#setGuarded(reason),
    });
    this.#reconciler.check();
  }

  wake(): void {
    this.#hold.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nri[Symbol.asyncDispose]();
    await this.#reconciler[Symbol.asyncDispose]();
  }

  #changed(): void {
    this.#listener.setPlaces(this.#sandboxes.places());
  }

  /** The runtime waits for the answer, and makes pods wait with it: what follows from it comes after. */
  #synchronize(pods: readonly SandboxPod[]): void {
    this.#sandboxes.replace(pods);
    setImmediate(() => this.#changed());
  }

  #add(pod: SandboxPod): void {
    if (this.#sandboxes.add(pod) && placeOf(pod)) this.#changed();
  }

  #remove(sandbox: string): void {
    if (this.#sandboxes.remove(sandbox)) this.#changed();
  }

  /** What is not known began before this agent could be asked: it begins now, and is let in at a later try. */
  #refusal(pod: SandboxPod): string | undefined {
    this.#add(pod);
    return this.#hold.refusal(pod);
  }

  #setGuarded(lost: string | undefined): void {
    const problem = `pods may send before their policy applies: the container runtime does not ask about new pods (NRI: ${lost})`;
    this.#listener.setProblem('startup', lost === undefined ? undefined : problem);
    this.#reconciler.setAlone(lost !== undefined);
    this.#reconciler.check();
  }
}
