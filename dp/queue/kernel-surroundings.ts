// What deciding on queues' packets shares with the kernel programs: their tables of hits and drops, and their identification.
import { application as APPLICATION, type DropCount, type Event, TICK_SHIFT } from '../kernel/abi.gen.ts';
import { macBytes } from '../kernel/address.ts';
import type { Datapath } from '../kernel/datapath.ts';
import type { Workload } from '../policy/workload.ts';
import { ETHER_TYPE } from '../protocol/address.ts';
import { endsOf, keyOf } from './flows.ts';
import type { Packet } from './packet.ts';
import { type Cause, frameBytes, type Queued, type Surroundings } from './policing.ts';

const REPORT_TICKS = 3;
const CAPTURED_BYTES = 64;
const ETHERNET_BYTES = 14;

const nowTicks = (): number => Number(process.hrtime.bigint() >> BigInt(TICK_SHIFT));

export function kernelSurroundings(
  datapath: Datapath,
  namesOf: Surroundings['namesOf'],
  take: (event: Event) => void,
): Surroundings {
  return {
    now: nowTicks,
    namesOf,
    toldApplication: (endpoint, port, protocol) =>
      datapath.listeners.get({ endpoint, port, protocol }) ?? APPLICATION.unknown,
    identify: (payload, bytes, isFromClient, isTcp) => datapath.identify(payload, bytes, isFromClient, isTcp),
    countHit: ({ id: endpoint, revision }, ruleId) => {
      const key = { endpoint, revision, ruleId };
      const hits = (datapath.hits.present(key)?.hits ?? 0n) + 1n;
      datapath.hits.set(key, { hits, lastNs: process.hrtime.bigint() });
    },
    countDrop: ({ id: endpoint }, reason) => {
      const key = { endpoint, reason };
      const [count, due] = counted(datapath.drops.present(key), nowTicks());
      datapath.drops.set(key, count);
      return due;
    },
    report: (queued, packet, workload, cause) => take(eventOf(queued, packet, workload, cause)),
  };
}

/** One packet more; how many a report now stands for, or 0 where none is due. */
function counted(before: DropCount | undefined, now: number): [DropCount, number] {
  if (!before) return [{ packets: 1n, reported: now, unreported: 0 }, 1];
  const packets = before.packets + 1n;
  const unreported = before.unreported + 1;
  if (now - before.reported < REPORT_TICKS) return [{ packets, reported: before.reported, unreported }, 0];
  return [{ packets, reported: now, unreported: 0 }, unreported];
}

function eventOf(queued: Queued, packet: Packet, { state, ifindex, mac }: Workload, cause: Cause): Event {
  const etherType = packet.isIpv6 ? ETHER_TYPE.ipv6 : ETHER_TYPE.ipv4;
  const captured = new Uint8Array(CAPTURED_BYTES);
  captured.set(ethernetHeader(queued, etherType, macBytes(mac)));
  captured.set(queued.bytes.subarray(0, CAPTURED_BYTES - ETHERNET_BYTES), ETHERNET_BYTES);
  return {
    ...cause,
    timeNs: process.hrtime.bigint(),
    key: keyOf(endsOf(packet, queued.direction, state.id)),
    revision: state.revision,
    ifindex,
    packetBytes: frameBytes(queued),
    capturedBytes: Math.min(CAPTURED_BYTES, ETHERNET_BYTES + queued.bytes.length),
    etherType,
    packetDirection: queued.direction,
    passed: Number(cause.passed),
    icmpType: packet.icmpType,
    icmpCode: packet.icmpCode,
    mac: macBytes(mac),
    captured,
  };
}

/** A queue’s packets have none: the workload’s MAC stands where it would, so that readers find the packet where it always is. */
function ethernetHeader({ direction }: Queued, etherType: number, mac: Uint8Array): Uint8Array {
  const header = new Uint8Array(ETHERNET_BYTES);
  header.set(mac, direction === 0 ? 6 : 0);
  new DataView(header.buffer).setUint16(12, etherType);
  return header;
}
