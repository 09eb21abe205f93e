// The connections of queues, as the kernel's tables keep those of interfaces (bpf/include/flow.h): bounded, the oldest goes first.
import { type Address, direction as DIRECTION, type Flow, type FlowKey, seen as SEEN } from '../kernel/abi.gen.ts';
import type { FlowsFound } from '../kernel/datapath.ts';
import { PROTOCOL } from '../protocol/values.ts';
import { type Packet, TCP } from './packet.ts';

const MAX_FLOWS = 65_536;
const MAX_DENIALS = 8192;
/** 180 s. */
const IDLE_TICKS = 168;

/** 0 is egress, who sends is the workload; 1 ingress. */
export type Direction = (typeof DIRECTION)[keyof typeof DIRECTION];

/** Addresses in hexadecimal digits, as a packet has them. */
export type Ends = {
  readonly endpoint: number;
  readonly protocol: number;
  readonly local: string;
  readonly localPort: number;
  readonly peer: string;
  readonly peerPort: number;
};

export type QueueFlow = {
  readonly ends: Ends;
  /** 0: not yet, while its application is not known. */
  action: number;
  epoch: number;
  isUnidentified: boolean;
  ruleId: number;
  /** That led to the rule. */
  name: string | undefined;
  readonly firstSeen: number;
  lastSeen: number;
  readonly start: [number, number];
  seen: number;
  readonly direction: Direction;
  /** The kernel's code; 0 unknown. */
  application: number;
  readonly packets: [number, number];
  readonly bytes: [number, number];
};

export type QueueDenial = {
  epoch: number;
  action: number;
  isUnidentified: boolean;
  readonly ruleId: number;
  readonly direction: Direction;
  application: number;
  isPast: boolean;
  /** Ticks. */
  reported: number;
  unreported: number;
};

export function endsOf(packet: Packet, direction: Direction, endpoint: number): Ends {
  const { protocol, source, destination, sourcePort, destinationPort } = packet;
  return direction === DIRECTION.egress
    ? { endpoint, protocol, local: source, localPort: sourcePort, peer: destination, peerPort: destinationPort }
    : { endpoint, protocol, local: destination, localPort: destinationPort, peer: source, peerPort: sourcePort };
}

const nameOf = ({ endpoint, protocol, local, localPort, peer, peerPort }: Ends): string =>
  `${endpoint}/${protocol}/${local}/${localPort}/${peer}/${peerPort}`;

/** Who opened a flow whose first seen packet this is. In the middle of a TCP connection, the lower port is the server's. */
export function openerOf(
  { protocol, localPort, peerPort }: Ends,
  { tcpFlags }: Packet,
  direction: Direction,
): Direction {
  const { egress, ingress } = DIRECTION;
  if (protocol !== PROTOCOL.tcp) return direction;
  if (tcpFlags & TCP.syn && !(tcpFlags & TCP.ack)) return direction;
  if (tcpFlags & TCP.syn) return direction === egress ? ingress : egress;
  if (localPort === peerPort) return direction;
  return localPort < peerPort ? ingress : egress;
}

/** Whether a packet begins a new flow in the place of one with the same ends. */
export function begins(flow: QueueFlow, packet: Packet, direction: Direction, now: number): boolean {
  if (packet.protocol !== PROTOCOL.tcp) return now - flow.lastSeen > IDLE_TICKS;
  if ((packet.tcpFlags & (TCP.syn | TCP.ack)) !== TCP.syn) return false;
  return (flow.seen & SEEN.open) !== 0 || flow.direction !== direction;
}

export function noteTcp(flow: QueueFlow, { tcpFlags, sequence }: Packet, direction: Direction): void {
  if (tcpFlags & TCP.syn) {
    flow.start[direction] = (sequence + 1) >>> 0;
    flow.seen |= SEEN.startEgress << direction;
  }
  if (tcpFlags & TCP.fin) flow.seen |= SEEN.finEgress << direction;
  if (tcpFlags & TCP.rst) flow.seen |= SEEN.rst;
  if ((tcpFlags & (TCP.syn | TCP.ack)) !== TCP.syn) flow.seen |= SEEN.open;
}

export class QueueFlows {
  readonly #flows = new Map<string, QueueFlow>();
  readonly #denials = new Map<string, QueueDenial>();

  get(ends: Ends): QueueFlow | undefined {
    return this.#flows.get(nameOf(ends));
  }

  /** As the newest: what was not used for the longest time makes room. */
  set(flow: QueueFlow): void {
    newest(this.#flows, nameOf(flow.ends), flow, MAX_FLOWS);
  }

  denial(ends: Ends): QueueDenial | undefined {
    return this.#denials.get(nameOf(ends));
  }

  setDenial(ends: Ends, denial: QueueDenial): void {
    newest(this.#denials, nameOf(ends), denial, MAX_DENIALS);
  }

  /** Those that had a packet in this tick or a later one, in the kernel's form. */
  flowsSince(tick: number, most: number): FlowsFound {
    const found = [...this.#flows.values()].filter(({ lastSeen }) => lastSeen >= tick);
    const flows = found.slice(0, most).map((flow) => [keyOf(flow.ends), kernelFlow(flow)] as const);
    return { flows, leftOut: found.length - flows.length };
  }

  forget(endpoint: number): void {
    for (const [name, { ends }] of this.#flows) if (ends.endpoint === endpoint) this.#flows.delete(name);
  }
}

function newest<T>(map: Map<string, T>, name: string, value: T, most: number): void {
  map.delete(name);
  map.set(name, value);
  if (map.size <= most) return;
  for (const [oldest] of map) {
    map.delete(oldest);
    return;
  }
}

const IPV4_DIGITS = 8;
const MAPPED = 0xffffn << 32n;

/** Of hexadecimal digits; zeros where there are none. */
export function addressOf(digits: string): Address {
  if (digits === '') return { high: 0n, low: 0n };
  if (digits.length === IPV4_DIGITS) return { high: 0n, low: MAPPED | BigInt(`0x${digits}`) };
  return { high: BigInt(`0x${digits.slice(0, 16)}`), low: BigInt(`0x${digits.slice(16)}`) };
}

export const keyOf = ({ local, peer, ...rest }: Ends): FlowKey => ({
  ...rest,
  local: addressOf(local),
  peer: addressOf(peer),
});

const kernelFlow = ({ epoch, action, packets, bytes, name, ends, isUnidentified, ...rest }: QueueFlow): Flow => ({
  ...rest,
  decision: (BigInt(epoch) << 32n) | BigInt(action),
  name: 0,
  sides: [0, 1].map((side) => ({ packets: BigInt(packets[side] ?? 0), bytes: BigInt(bytes[side] ?? 0) })),
});
