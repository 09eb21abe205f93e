// A TCP connection for tests: both of its sides, as the programs on the workload’s interface see their segments.
import type { Flow, FlowKey } from '../kernel/abi.gen.ts';
import { kernelAddressOf } from '../kernel/address.ts';
import { PROTOCOL } from '../protocol/values.ts';
import type { Verdict, Workload } from './harness.ts';
import { type IpOptions, ip, TCP_FLAG, tcp } from './packets.ts';

export type Side = 'client' | 'server';

type Opening = {
  readonly peer: string;
  readonly opens: 'workload' | 'peer';
  readonly port: number;
  readonly clientPort: number;
  readonly options: IpOptions;
};

export class Connection {
  readonly #workload: Workload;
  readonly #opening: Opening;
  readonly #sequence = { client: 1_000_000, server: 0xfffffff0 }; // one near its end, so that it wraps

  constructor(workload: Workload, opening: Opening) {
    this.#workload = workload;
    this.#opening = opening;
  }

  /** The client’s SYN. */
  open(): Verdict {
    return this.segment('client', TCP_FLAG.syn);
  }

  /** The server’s SYN-ACK. */
  accept(): Verdict {
    return this.segment('server', TCP_FLAG.syn | TCP_FLAG.ack);
  }

  /** Opened, accepted and acknowledged; throws where one of the three is dropped. */
  establish(): this {
    const verdicts = [this.open(), this.accept(), this.segment('client', TCP_FLAG.ack)];
    if (verdicts.includes('drop')) throw new Error(`the handshake was not let through: ${verdicts}`);
    return this;
  }

  /** A payload with nothing missing before it. */
  say(side: Side, payload: Uint8Array | string): Verdict {
    return this.segment(side, TCP_FLAG.psh | TCP_FLAG.ack, Buffer.from(payload));
  }

  segment(side: Side, flags: number, payload: Uint8Array = new Uint8Array()): Verdict {
    const sequence = this.#sequence[side];
    const taken = payload.length + (flags & (TCP_FLAG.syn | TCP_FLAG.fin) ? 1 : 0);
    this.#sequence[side] = (sequence + taken) >>> 0;
    return this.packet(side, { flags, sequence, payload });
  }

  /** Any segment; the sequence numbers of the others stay as they are. */
  packet(side: Side, segment: { flags: number; sequence: number; payload: Uint8Array }): Verdict {
    const { peer, opens, port, clientPort, options } = this.#opening;
    const isOut = (side === 'client') === (opens === 'workload');
    const [sourcePort, destinationPort] = side === 'client' ? [clientPort, port] : [port, clientPort];
    const ends = this.#workload.ends(peer, isOut ? 'out' : 'in');
    const frame = ip(ends, PROTOCOL.tcp, tcp({ sourcePort, destinationPort, ...segment }), options);
    return isOut ? this.#workload.send(frame) : this.#workload.receive(frame);
  }

  /** The key of its flow in the kernel. */
  get key(): FlowKey {
    const { peer, opens, port, clientPort } = this.#opening;
    const [localPort, peerPort] = opens === 'workload' ? [clientPort, port] : [port, clientPort];
    const own = this.#workload.ends(peer, 'out').source;
    return {
      local: kernelAddressOf(own),
      peer: kernelAddressOf(peer),
      localPort,
      peerPort,
      endpoint: this.#workload.id,
      protocol: PROTOCOL.tcp,
    };
  }

  /** What the kernel remembers of it; undefined where it is denied, or not open. */
  get flow(): Flow | undefined {
    return this.#workload.harness.datapath.flows().get(this.key);
  }
}
