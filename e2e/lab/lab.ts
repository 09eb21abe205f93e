// A network lab: a node's namespace, workloads and peers around it, and processes inside; gone when it is disposed of.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, type Completed, type RunOptions, run } from './command.ts';
import { addNamespace, configure, inside, type Namespace, setSysctl } from './namespace.ts';
import { directoryOf, labId, namespaceOf, pinsOf } from './naming.ts';
import { LabProcess } from './process.ts';
import { markKept, removeLab } from './removal.ts';
import { type Peer, type Wiring, type Workload, wirePeer, wireWorkload } from './topology.ts';

let made = 0;

export class Lab implements AsyncDisposable {
  readonly id: string;
  /** For logs, sockets and data; only root may enter it. */
  readonly directory: string;
  /** Where dp pins its programs and maps. */
  readonly pins: string;
  readonly node: Namespace;
  /** Aborted with the reason for which all that waits in the lab must end: the caller's, or a process that died. */
  readonly signal: AbortSignal;
  readonly #failure = new AbortController();
  readonly #processes: LabProcess[] = [];
  #isKept = false;

  private constructor(id: string, signal: AbortSignal | undefined) {
    this.id = id;
    this.directory = directoryOf(id);
    this.pins = pinsOf(id);
    this.node = namespaceOf(id, 'node');
    this.signal = AbortSignal.any([this.#failure.signal, ...(signal ? [signal] : [])]);
  }

  static async create(signal?: AbortSignal): Promise<Lab> {
    made += 1;
    const lab = new Lab(labId(process.pid, made), signal);
    try {
      await mkdir(lab.directory, { mode: 0o700 });
      await addNamespace(lab.node, lab.#options);
      await setSysctl(lab.node, 'net/ipv4/ip_forward', lab.#options);
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  async addWorkload(workload: Workload): Promise<Namespace> {
    const namespace = namespaceOf(this.id, workload.name);
    return this.#add(namespace, wireWorkload(workload, namespace));
  }

  async addPeer(peer: Peer): Promise<Namespace> {
    const namespace = namespaceOf(this.id, peer.name);
    return this.#add(namespace, wirePeer(peer, namespace));
  }

  /** If it ends without being stopped, `signal` is aborted with a LabError ProcessEnded. */
  async start(name: string, namespace: Namespace, command: Command): Promise<LabProcess> {
    this.signal.throwIfAborted();
    const labProcess = await LabProcess.start({
      name,
      command: inside(namespace, command),
      logFile: this.file(`${name}.log`),
      onUnexpectedEnd: (error) => this.#failure.abort(error),
    });
    this.#processes.push(labProcess);
    return labProcess;
  }

  /** Runs a command to its end inside the namespace. */
  run(namespace: Namespace, command: Command, options: Omit<RunOptions, 'signal'> = {}): Promise<Completed> {
    return run(inside(namespace, command), { ...options, signal: this.signal });
  }

  /** Disposing of it will leave everything in place, until `removeKeptLab`. */
  async keep(): Promise<void> {
    await markKept(this.id);
    this.#isKept = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = this.#processes.map(({ pid }) => pid).filter((pid) => pid !== undefined);
    for (const labProcess of this.#processes) labProcess.expectEnd();
    if (!this.#isKept) await removeLab(this.id, pids);
  }

  async #add(namespace: Namespace, wiring: Wiring): Promise<Namespace> {
    await addNamespace(namespace, this.#options);
    await configure(this.node, wiring.node, this.#options);
    await configure(namespace, wiring.other, this.#options);
    return namespace;
  }

  get #options(): RunOptions {
    return { signal: this.signal };
  }
}
