// An NRI plugin that follows pods: the container runtime asks it about each pod's start and end, and waits.
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type SandboxPod, uidOf } from '../sandbox.ts';
import { connection, multiplex } from './mux.ts';
import {
  ConfigureRequestSchema,
  ConfigureResponseSchema,
  PodEventSchema,
  type PodSandbox,
  RegisterPluginRequestSchema,
  StateChangeEventSchema,
  SynchronizeRequestSchema,
  SynchronizeResponseSchema,
} from './nri.gen.ts';
import { client, serve, status, TtrpcError } from './ttrpc.ts';

/** What is done at each event. The runtime makes one call at a time for the whole node, and waits. */
export type PodLifecycle = {
  /** All pods there are, before any other event; ended ones are left out. */
  readonly synchronize: (pods: readonly SandboxPod[]) => void;
  /** The network is set up, and no container is made before this resolves, or `deadline` aborts: before the runtime would stop waiting. */
  readonly start: (pod: SandboxPod, deadline: AbortSignal) => Promise<void>;
  /**
   * A container is about to be made: why it must not be, or undefined. Answered from memory, since not even the runtime's
   * required_plugins holds the pod where this takes too long. The pod may be unknown: its `start` was before we connected.
   */
  readonly refusal: (pod: SandboxPod) => string | undefined;
  /** All containers have ended; the network goes next. Not called for pods from before the runtime's last restart. */
  readonly stop: (sandbox: string) => void;
};

// Bit N-1 for the event N of NRI's enum Event.
const events = { runPodSandbox: 1 << 0, stopPodSandbox: 1 << 1, createContainer: 1 << 3 } as const;
const stateChange = new Map([
  [1, 'RunPodSandbox'],
  [2, 'StopPodSandbox'],
]);

/** As containerd and CRI-O have it unless told. */
const DEFAULT_TIMEOUT_MS = 2000;
/** At its timeout the runtime closes the connection and starts the pod as if there were no plugin: answer before that. */
const ANSWER_MARGIN_MS = 300;

const NAME = 'podwall';
/** Plugins are called in this order: this one after those that change a pod's network. */
const INDEX = '90';

const EMPTY = new Uint8Array();

const encode = <Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>): Uint8Array =>
  toBinary(schema, create(schema, message));

/** How long a request that the runtime waits for so long may take. */
export const deadlineMs = (timeoutMs: number): number => {
  const waits = Number.isFinite(timeoutMs) ? timeoutMs : DEFAULT_TIMEOUT_MS;
  return Math.max(waits - ANSWER_MARGIN_MS, waits / 2);
};

export class NriPlugin implements Disposable {
  readonly #socket: Socket;
  readonly #pods: PodLifecycle;
  readonly #known: SandboxPod[] = []; // of a synchronization that comes in parts
  readonly #synchronized = Promise.withResolvers<void>();
  /** Resolves, with the error if there was one, when the runtime has ended the connection: it stopped, or waited too long. */
  readonly closed: Promise<Error | undefined>;
  /** Name and version, as the runtime tells them. */
  runtime = 'unknown';

  private constructor(socket: Socket, pods: PodLifecycle) {
    this.#socket = socket;
    this.#pods = pods;
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    socket.once('error', resolve);
    socket.once('close', () => resolve(undefined));
    this.closed = promise;
  }

  /**
   * Connects, registers and resolves once `synchronize` was called. Throws the socket's error, or the runtime's refusal.
   * `signal` ends it, also later.
   */
  static async connect(socketPath: string, pods: PodLifecycle, signal: AbortSignal): Promise<NriPlugin> {
    const socket = createConnection({ path: socketPath, signal });
    try {
      await once(socket, 'connect');
      const plugin = new NriPlugin(socket, pods);
      await plugin.#register();
      return plugin;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #register(): Promise<void> {
    const send = multiplex(this.#socket, (id, bytes) => {
      try {
        if (id === connection.plugin) requests(bytes);
        if (id === connection.runtime) runtime.receive(bytes);
      } catch (error) {
        this.#socket.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    const requests = serve(
      (...call) => this.#answer(...call),
      (bytes) => send(connection.plugin, bytes),
      (error) => this.#socket.destroy(error),
    );
    const runtime = client((bytes) => send(connection.runtime, bytes));
    const request = encode(RegisterPluginRequestSchema, { pluginName: NAME, pluginIdx: INDEX, NRIVersion: 'v0.12.0' });
    const ended = this.closed.then((error) => {
      throw error ?? new TtrpcError(status.unknown, 'the runtime closed the connection at registration');
    });
    const registered = runtime.call('nri.pkg.api.v1alpha1.Runtime', 'RegisterPlugin', request);
    await Promise.race([registered.then(() => this.#synchronized.promise), ended]);
  }

  async #answer(method: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    switch (method) {
      case 'Configure': {
        const { runtimeName, runtimeVersion } = fromBinary(ConfigureRequestSchema, payload);
        this.runtime = `${runtimeName} ${runtimeVersion}`.trim();
        return encode(ConfigureResponseSchema, {
          events: events.runPodSandbox | events.stopPodSandbox | events.createContainer,
        });
      }
      case 'Synchronize':
        return this.#synchronize(payload);
      case 'StateChange': {
        // How older runtimes send all events but a container's creation.
        const { event, pod } = fromBinary(StateChangeEventSchema, payload);
        return this.#event(stateChange.get(event) ?? 'other', pod, timeoutMs);
      }
      case 'Shutdown':
        return EMPTY;
      default:
        return this.#event(method, fromBinary(PodEventSchema, payload).pod, timeoutMs);
    }
  }

  #synchronize(payload: Uint8Array): Uint8Array {
    const { pods, more } = fromBinary(SynchronizeRequestSchema, payload);
    this.#known.push(...pods.filter(isRunning).map(toPod));
    if (!more) {
      this.#pods.synchronize(this.#known.splice(0));
      this.#synchronized.resolve();
    }
    return encode(SynchronizeResponseSchema, { more });
  }

  async #event(event: string, sandbox: PodSandbox | undefined, timeoutMs: number): Promise<Uint8Array> {
    if (!sandbox) return EMPTY;
    const pod = toPod(sandbox);
    if (event === 'RunPodSandbox') {
      const deadline = AbortSignal.timeout(deadlineMs(timeoutMs));
      await Promise.race([this.#pods.start(pod, deadline), once(deadline, 'abort')]);
    } else if (event === 'CreateContainer') {
      const refusal = this.#pods.refusal(pod);
      if (refusal !== undefined) throw new TtrpcError(status.unknown, refusal);
    } else if (event === 'StopPodSandbox') this.#pods.stop(pod.sandbox);
    else throw new TtrpcError(status.unimplemented, `${event} is not subscribed`);
    return EMPTY;
  }
}

/** What ended has no process. */
const isRunning = ({ pid }: PodSandbox): boolean => pid !== 0;

/** In the node's own network namespace a pod has none of its own, neither by path. */
function toPod({ id, uid, namespace, name, annotations, linux }: PodSandbox): SandboxPod {
  const path = linux?.namespaces.find(({ type }) => type === 'network')?.path;
  return { sandbox: id, ...uidOf(uid, annotations), namespace, name, ...(path && { netns: { path } }) };
}
