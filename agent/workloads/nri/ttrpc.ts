// Unary ttrpc, both ends: a 10-byte header (length, stream, type, flags; big endian) before each message.
// Source: containerd/ttrpc, PROTOCOL.md.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { takeUnits } from './mux.ts';
import { type Request, RequestSchema, ResponseSchema } from './ttrpc.gen.ts';

const HEADER_BYTES = 10;
const MAX_MESSAGE_BYTES = 4 << 20;
const messageType = { request: 1, response: 2 } as const;
/** The gRPC status codes that are used here. */
export const status = { ok: 0, unknown: 2, deadlineExceeded: 4, unimplemented: 12 } as const;

export class TtrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'TtrpcError';
    this.code = code;
  }
}

type Message = { stream: number; type: number; body: Buffer };

function encodeMessage(stream: number, type: number, body: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(body.length, 0);
  header.writeUInt32BE(stream, 4);
  header.writeUInt8(type, 8);
  return Buffer.concat([header, body]);
}

/** Answers a function that takes a stream's bytes as they come and hands on whole messages. */
function messageReader(receive: (message: Message) => void): (bytes: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0);
  return (bytes) => {
    const [messages, rest] = takeUnits(Buffer.concat([pending, bytes]), HEADER_BYTES, (header) => {
      const length = header.readUInt32BE(0);
      if (length > MAX_MESSAGE_BYTES)
        throw new TtrpcError(status.unknown, `message of ${length} bytes, at most 4 MiB is allowed`);
      return HEADER_BYTES + length;
    });
    pending = rest;
    for (const m of messages)
      receive({ stream: m.readUInt32BE(4), type: m.readUInt8(8), body: m.subarray(HEADER_BYTES) });
  };
}

/** Answers one call; `timeoutMs` is how long the caller waits, Infinity if it did not say. What it throws is answered. */
export type Handler = (method: string, payload: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;

/** Serves calls: takes the caller's bytes, sends each answer when it is ready; `fail` gets the error of what is no request. */
export function serve(
  handle: Handler,
  send: (bytes: Buffer) => void,
  fail: (error: Error) => void,
): (bytes: Buffer) => void {
  const answer = async ({
    method,
    payload,
    timeoutNano,
  }: Request): Promise<MessageInitShape<typeof ResponseSchema>> => {
    const timeoutMs = timeoutNano > 0n ? Number(timeoutNano / 1_000_000n) : Infinity;
    try {
      return { payload: await handle(method, payload, timeoutMs) };
    } catch (error) {
      const code = error instanceof TtrpcError ? error.code : status.unknown;
      return { status: { code, message: error instanceof Error ? error.message : String(error) } };
    }
  };
  const reply = async (stream: number, body: Uint8Array): Promise<void> => {
    const response = create(ResponseSchema, await answer(fromBinary(RequestSchema, body)));
    send(encodeMessage(stream, messageType.response, toBinary(ResponseSchema, response)));
  };
  return messageReader(({ stream, type, body }) => {
    if (type === messageType.request) reply(stream, body).catch(fail);
  });
}

export type Client = {
  readonly receive: (bytes: Buffer) => void;
  readonly call: (service: string, method: string, payload: Uint8Array) => Promise<Uint8Array>;
};

export function client(send: (bytes: Buffer) => void): Client {
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  let nextStream = 1; // a client's streams are odd and only grow
  return {
    receive: messageReader(({ stream, type, body }) => {
      if (type !== messageType.response) return;
      const call = waiting.get(stream);
      waiting.delete(stream);
      const { status: state, payload } = fromBinary(ResponseSchema, body);
      if (state && state.code !== status.ok) call?.reject(new TtrpcError(state.code, state.message));
      else call?.resolve(payload);
    }),
    call(service, method, payload) {
      const stream = nextStream;
      nextStream += 2;
      const call = Promise.withResolvers<Uint8Array>();
      waiting.set(stream, call);
      send(
        encodeMessage(
          stream,
          messageType.request,
          toBinary(RequestSchema, create(RequestSchema, { service, method, payload })),
        ),
      );
      return call.promise;
    },
  };
}
