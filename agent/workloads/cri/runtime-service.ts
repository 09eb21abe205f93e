// The container runtime's own service (CRI v1), over its socket: which pods run, and that something happened to one.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Client, type ClientReadableStream, type ClientUnaryCall, credentials } from '@grpc/grpc-js';
import { Ajv } from 'ajv';
import type { FromSchema } from 'json-schema-to-ts';
import { type SandboxPod, uidOf } from '../sandbox.ts';
import {
  ContainerEventResponseSchema,
  GetEventsRequestSchema,
  ListPodSandboxRequestSchema,
  ListPodSandboxResponseSchema,
  type PodSandbox,
  PodSandboxStatusRequestSchema,
  PodSandboxStatusResponseSchema,
} from './cri.gen.ts';

const SERVICE = '/runtime.v1.RuntimeService';
const CALL_TIMEOUT_MS = 5000;
const READY = 0;
const NETWORK_OF_NODE = 2;
/** gRPC's status code of what is not there. */
const NOT_FOUND = 5;

/** Of what the runtime says in JSON where it is asked for everything, the part that containerd and CRI-O share. */
const infoSchema = {
  type: 'object',
  properties: {
    pid: { type: 'integer', minimum: 0 },
    runtimeSpec: {
      type: ['object', 'null'],
      properties: {
        linux: {
          type: 'object',
          properties: {
            namespaces: {
              type: 'array',
              items: {
                type: 'object',
                required: ['type'],
                properties: { type: { type: 'string' }, path: { type: 'string' } },
              },
            },
          },
        },
      },
    },
  },
} as const;
const isInfo = new Ajv({ allowUnionTypes: true }).compile<FromSchema<typeof infoSchema>>(infoSchema);

export class RuntimeError extends Error {
  readonly code: number;

  constructor(method: string, code: number, message: string) {
    super(`${method}: ${message}`);
    this.name = 'RuntimeError';
    this.code = code;
  }
}

export class RuntimeService implements Disposable {
  readonly #client: Client;
  readonly #calls = new Set<ClientUnaryCall>();

  constructor(socketPath: string) {
    this.#client = new Client(`unix://${socketPath}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost', // else the socket's path, which Go's servers refuse
      'grpc.max_reconnect_backoff_ms': 2000,
      'grpc.max_receive_message_length': -1,
    });
  }

  /** Sandboxes that run. Throws RuntimeError. */
  async list(): Promise<PodSandbox[]> {
    const request = { filter: { state: { state: READY } } };
    return (await this.#call('ListPodSandbox', ListPodSandboxRequestSchema, request, ListPodSandboxResponseSchema))
      .items;
  }

  /** Undefined where it is gone. Throws RuntimeError. */
  async pod({ id, metadata, annotations }: PodSandbox): Promise<SandboxPod | undefined> {
    const { uid = '', namespace = '', name = '' } = metadata ?? {};
    const pod = { sandbox: id, ...uidOf(uid, annotations), namespace, name };
    const request = { podSandboxId: id, verbose: true };
    try {
      const answer = await this.#call(
        'PodSandboxStatus',
        PodSandboxStatusRequestSchema,
        request,
        PodSandboxStatusResponseSchema,
      );
      if (answer.status?.linux?.namespaces?.options?.network === NETWORK_OF_NODE) return pod;
      return { ...pod, netns: namespaceOf(id, answer.info.info) };
    } catch (error) {
      if (error instanceof RuntimeError && error.code === NOT_FOUND) return undefined;
      throw error;
    }
  }

  /** Calls `onEvent` for whatever happens to a container or sandbox, until the signal aborts or the answered promise resolves. */
  async follow(onEvent: () => void, signal: AbortSignal): Promise<void> {
    const stream: ClientReadableStream<unknown> = this.#client.makeServerStreamRequest(
      `${SERVICE}/GetContainerEvents`,
      (message: MessageShape<typeof GetEventsRequestSchema>) => Buffer.from(toBinary(GetEventsRequestSchema, message)),
      (bytes: Buffer) => fromBinary(ContainerEventResponseSchema, bytes),
      create(GetEventsRequestSchema),
    );
    const cancel = () => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    const { promise, resolve } = Promise.withResolvers<void>();
    // An error is the stream's end: a runtime that has no events, or that stopped.
    stream
      .on('data', onEvent)
      .on('error', () => resolve())
      .on('end', resolve);
    await promise;
    signal.removeEventListener('abort', cancel);
  }

  [Symbol.dispose](): void {
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }

  #call<Request extends DescMessage, Response extends DescMessage>(
    method: string,
    requestSchema: Request,
    request: MessageInitShape<Request>,
    responseSchema: Response,
  ): Promise<MessageShape<Response>> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        `${SERVICE}/${method}`,
        (message: MessageShape<Request>) => Buffer.from(toBinary(requestSchema, message)),
        (bytes: Buffer) => fromBinary(responseSchema, bytes),
        create(requestSchema, request),
        { deadline: Date.now() + CALL_TIMEOUT_MS },
        (error, response) => {
          this.#calls.delete(call);
          if (error) reject(new RuntimeError(method, error.code, error.details || error.message));
          else if (response) resolve(response);
        },
      );
      this.#calls.add(call);
    });
  }
}

/** By its file, which does not depend on who asks; by its process where there is none. Throws RuntimeError. */
function namespaceOf(id: string, text = '{}'): NonNullable<SandboxPod['netns']> {
  const info: unknown = JSON.parse(text);
  if (isInfo(info)) {
    const path = info.runtimeSpec?.linux?.namespaces?.find(({ type }) => type === 'network')?.path;
    if (path) return { path };
    if (info.pid) return { pid: info.pid };
  }
  throw new RuntimeError('PodSandboxStatus', NOT_FOUND, `does not say where the network namespace of ${id} is`);
}
