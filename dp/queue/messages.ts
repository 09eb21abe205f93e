// Messages between a process and a netfilter queue: linux/netfilter/nfnetlink_queue.h. Pure.

const NFNL_SUBSYS_QUEUE = 3;
const MSG = { packet: 0, verdict: 1, config: 2 } as const;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;
const HEADER_BYTES = 16; // struct nlmsghdr
const GENERIC_BYTES = 4; // struct nfgenmsg
const ATTRIBUTE_BYTES = 4; // struct nlattr

const CONFIG = { command: 1, parameters: 2, maxLength: 3, mask: 4, flags: 5 } as const;
const COMMAND = { bind: 1, unbind: 2 } as const;
const COPY_PACKET = 2;
const FLAG = { failOpen: 1, superPackets: 4 } as const;
const VERDICT_HEADER = 2;
const PACKET = { header: 1, payload: 10, length: 13 } as const;
const VERDICT = { drop: 0, accept: 1 } as const;

/** Hooks of netfilter that packets come from. */
export const HOOK = { prerouting: 0, postrouting: 4 } as const;

export type QueuedPacket = {
  readonly id: number;
  readonly hook: number;
  /** From the IP header on, at most as much as is copied. */
  readonly payload: Buffer;
  /** Of the whole packet, from its IP header. */
  readonly bytes: number;
};

/** The queue is this socket’s from now on. */
export const bindMessage = (queue: number): Buffer =>
  request(MSG.config, queue, NLM_F_ACK, [attribute(CONFIG.command, Buffer.of(COMMAND.bind, 0, 0, 0))]);

/** The queue is nobody’s from now on: the kernel drops what waits. */
export const unbindMessage = (queue: number): Buffer =>
  request(MSG.config, queue, 0, [attribute(CONFIG.command, Buffer.of(COMMAND.unbind, 0, 0, 0))]);

/** `copyBytes` of each packet are handed over; `maxLength` packets may wait. Super-packets come whole. */
export function configMessage(queue: number, copyBytes: number, maxLength: number): Buffer {
  const parameters = Buffer.alloc(5);
  parameters.writeUInt32BE(copyBytes);
  parameters.writeUInt8(COPY_PACKET, 4);
  return request(MSG.config, queue, NLM_F_ACK, [
    attribute(CONFIG.parameters, parameters),
    attribute(CONFIG.maxLength, u32(maxLength)),
    attribute(CONFIG.mask, u32(FLAG.superPackets)),
    attribute(CONFIG.flags, u32(FLAG.superPackets)),
  ]);
}

/** Whether packets that find the queue full pass. */
export const failOpenMessage = (queue: number, isOpen: boolean): Buffer =>
  request(MSG.config, queue, NLM_F_ACK, [
    attribute(CONFIG.mask, u32(FLAG.failOpen)),
    attribute(CONFIG.flags, u32(isOpen ? FLAG.failOpen : 0)),
  ]);

export const verdictMessage = (queue: number, id: number, passes: boolean): Buffer =>
  request(MSG.verdict, queue, 0, [
    attribute(VERDICT_HEADER, Buffer.concat([u32(passes ? VERDICT.accept : VERDICT.drop), u32(id)])),
  ]);

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(ATTRIBUTE_BYTES + ((value.length + 3) & ~3));
  bytes.writeUInt16LE(ATTRIBUTE_BYTES + value.length);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, ATTRIBUTE_BYTES);
  return bytes;
}

function request(type: number, queue: number, flags: number, attributes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(HEADER_BYTES + GENERIC_BYTES);
  const message = Buffer.concat([head, ...attributes]);
  message.writeUInt32LE(message.length);
  message.writeUInt16LE((NFNL_SUBSYS_QUEUE << 8) | type, 4);
  message.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  message.writeUInt16BE(queue, HEADER_BYTES + 2);
  return message;
}

export type Message =
  | { readonly kind: 'packet'; readonly packet: QueuedPacket }
  /** 0, or a negative errno. */
  | { readonly kind: 'answer'; readonly result: number }
  | { readonly kind: 'other' };

/** One datagram of the kernel’s has one message. */
export function readMessage(bytes: Buffer): Message {
  if (bytes.length < HEADER_BYTES + GENERIC_BYTES) return { kind: 'other' };
  const type = bytes.readUInt16LE(4);
  if (type === NLMSG_ERROR) return { kind: 'answer', result: bytes.readInt32LE(HEADER_BYTES) };
  if (type !== ((NFNL_SUBSYS_QUEUE << 8) | MSG.packet)) return { kind: 'other' };
  const attributes = attributesOf(bytes.subarray(HEADER_BYTES + GENERIC_BYTES));
  const header = attributes.get(PACKET.header);
  if (!header) return { kind: 'other' };
  const payload = attributes.get(PACKET.payload) ?? Buffer.alloc(0);
  return {
    kind: 'packet',
    packet: {
      id: header.readUInt32BE(),
      hook: header.readUInt8(6),
      payload,
      bytes: attributes.get(PACKET.length)?.readUInt32BE() ?? payload.length,
    },
  };
}

function attributesOf(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + ATTRIBUTE_BYTES <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_BYTES || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + ATTRIBUTE_BYTES, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}
