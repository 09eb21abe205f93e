// Makes pods by a container runtime's own service (CRI), as kubelet does.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import {
  CreateContainerRequestSchema,
  CreateContainerResponseSchema,
  EmptySchema,
  type PodSandboxConfig,
  PodSandboxConfigSchema,
  PodSandboxRequestSchema,
  RunPodSandboxRequestSchema,
  RunPodSandboxResponseSchema,
  StartContainerRequestSchema,
} from './pods.gen.ts';

export const PAUSE_IMAGE = 'localhost/pause:1';
const CALL_TIMEOUT_MS = 60_000;
const NETWORK_OF_NODE = 2;
/** The machine's own programs, in a container that has nothing else. */
const FROM_MACHINE = ['/usr', '/bin', '/lib', '/lib64'];

export type PodWish = {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly isOnNodeNetwork?: boolean;
};

export type Sandbox = { readonly id: string; readonly uid: string; readonly config: PodSandboxConfig };

export class Pods implements Disposable {
  readonly #client: Client;
  readonly #logs: string;

  /** `logs`: a folder that containers' output goes to, as NAMESPACE_NAME.log. */
  constructor(socket: string, logs: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure(), { 'grpc.default_authority': 'lab' });
    this.#logs = logs;
  }

  /** A pod's sandbox with its network, and no container. Throws the runtime's refusal. */
  async sandbox({ namespace, name, uid = randomUUID(), isOnNodeNetwork = false }: PodWish): Promise<Sandbox> {
    const config = create(PodSandboxConfigSchema, {
      metadata: { namespace, name, uid, attempt: 0 },
      hostname: isOnNodeNetwork ? '' : name,
      logDirectory: this.#logs,
      linux: { securityContext: { namespaceOptions: { network: isOnNodeNetwork ? NETWORK_OF_NODE : 0 } } },
    });
    const answer = await this.#call(
      'RunPodSandbox',
      RunPodSandboxRequestSchema,
      { config },
      RunPodSandboxResponseSchema,
    );
    return { id: answer.podSandboxId, uid, config };
  }

  /** Throws the runtime's refusal. */
  async container(sandbox: Sandbox, command: readonly string[]): Promise<string> {
    const { namespace, name } = sandbox.config.metadata ?? {};
    const config = {
      metadata: { name: 'main' },
      image: { image: PAUSE_IMAGE },
      command: [...command],
      mounts: FROM_MACHINE.map((path) => ({ containerPath: path, hostPath: path, readonly: true })),
      logPath: `${namespace}_${name}.log`,
    };
    const request = { podSandboxId: sandbox.id, config, sandboxConfig: sandbox.config };
    const answer = await this.#call(
      'CreateContainer',
      CreateContainerRequestSchema,
      request,
      CreateContainerResponseSchema,
    );
    return answer.containerId;
  }

  async start(containerId: string): Promise<void> {
    await this.#call('StartContainer', StartContainerRequestSchema, { containerId }, EmptySchema);
  }

  logOf({ config: { metadata } }: Sandbox): string {
    return join(this.#logs, `${metadata?.namespace}_${metadata?.name}.log`);
  }

  async remove({ id }: Sandbox): Promise<void> {
    await this.#call('StopPodSandbox', PodSandboxRequestSchema, { podSandboxId: id }, EmptySchema);
    await this.#call('RemovePodSandbox', PodSandboxRequestSchema, { podSandboxId: id }, EmptySchema);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #call<Request extends DescMessage, Response extends DescMessage>(
    method: string,
    requestSchema: Request,
    request: MessageInitShape<Request>,
    responseSchema: Response,
  ): Promise<MessageShape<Response>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/runtime.v1.RuntimeService/${method}`,
        (message: MessageShape<Request>) => Buffer.from(toBinary(requestSchema, message)),
        (bytes: Buffer) => fromBinary(responseSchema, bytes),
        create(requestSchema, request),
        { deadline: Date.now() + CALL_TIMEOUT_MS },
        (error, response) => (response ? resolve(response) : reject(error)),
      );
    });
  }
}
