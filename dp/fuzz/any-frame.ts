// Frames of every kind that the programs know, whole or damaged, from a seed. Pure.
import type { Workload } from '../bpf/harness.ts';
import {
  type Ends,
  EXTENSION,
  ethernet,
  type IpOptions,
  icmp,
  icmpProtocolOf,
  ip,
  tcp,
  udp,
  VLAN,
} from '../bpf/packets.ts';
import { FIRST_PAYLOADS } from '../bpf/payloads.ts';
import { pick, type Random } from '../bpf/rule-sets.ts';
import { ETHER_TYPE } from '../protocol/address.ts';
import { PROTOCOL } from '../protocol/values.ts';

export type Frame = { readonly goes: 'in' | 'out'; readonly bytes: Uint8Array };

const ETHERNET_BYTES = 14;
const MACS_BYTES = 12;
/** Headers lie here; what is behind hardly matters. */
const HEADERS_BYTES = 100;
const HOP_LIMITS = [255, 254, 1, 0, 64] as const;
const PEERS = ['10.1.0.9', 'fd01::9', 'ff02::1', '255.255.255.255'] as const;
/** Nobody's, everybody's, and of IPv6 multicast: with another workload's it would be that one's frame. */
const OTHER_MACS = ['02:aa:00:00:00:01', 'ff:ff:ff:ff:ff:ff', '33:33:00:00:00:01', '00:00:00:00:00:00'] as const;

export function anyFrame(workload: Workload, r: Random): Frame {
  const goes = pick(r, ['in', 'out'] as const);
  return { goes, bytes: damaged(wholeFrame(workload, goes, r), r) };
}

function wholeFrame(workload: Workload, goes: 'in' | 'out', r: Random): Uint8Array {
  const peer = pick(r, PEERS);
  const ends = { ...workload.ends(peer, goes), ...(r(12) === 0 ? foreignMac(goes, r) : {}) };
  const options = anyOptions(r);
  if (r(16) === 0)
    return ethernet(
      ends,
      pick(r, [...Object.values(ETHER_TYPE), r(0x10000)]),
      pick(r, FIRST_PAYLOADS).bytes,
      options.vlans,
    );
  const [protocol, body] = anyTransport(workload.ends(peer, goes === 'in' ? 'out' : 'in'), peer, r);
  const bytes = ip(ends, protocol, body, options);
  if (peer.includes(':') && r(2)) bytes[hopLimitAt(options)] = pick(r, HOP_LIMITS);
  return bytes;
}

const foreignMac = (goes: 'in' | 'out', r: Random): Partial<Ends> =>
  goes === 'out' ? { sourceMac: pick(r, OTHER_MACS) } : { destinationMac: pick(r, OTHER_MACS) };

const hopLimitAt = ({ vlans = [] }: IpOptions): number => ETHERNET_BYTES + 4 * vlans.length + 7;

function anyOptions(r: Random): IpOptions {
  return {
    vlans: r(2) ? [] : Array.from({ length: r(4) }, () => pick(r, Object.values(VLAN))),
    extensions: r(2) ? [] : Array.from({ length: r(8) }, () => pick(r, Object.values(EXTENSION))),
    options: new Uint8Array(r(2) ? 0 : 4 * r(11)),
    ...(r(4) === 0 ? { fragment: { id: r(9), offset: 8 * r(3), isLast: r(2) === 0 } } : {}),
  };
}

/** `back`: the ends of a packet that went the other way, as an error quotes it. */
function anyTransport(back: Ends, peer: string, r: Random): readonly [number, Uint8Array] {
  const ports = { sourcePort: r(65_536), destinationPort: r(65_536) };
  const payload = pick(r, FIRST_PAYLOADS).bytes;
  return pick<() => readonly [number, Uint8Array]>(r, [
    () => [PROTOCOL.tcp, tcp({ ...ports, flags: r(64), payload })],
    () => [PROTOCOL.udp, udp(ports, payload)],
    () => [icmpProtocolOf(peer), icmp(r(256), r(16), r(65_536), quoted(back, r))],
    () => [icmpProtocolOf(peer), icmp(pick(r, NOTABLE_TYPES), r(2), r(65_536), quoted(back, r))],
    () => [icmpProtocolOf(peer), icmp(pick(r, NOTABLE_TYPES), 0, 0, new Uint8Array(24))],
    () => [r(256), payload],
  ])();
}

/** Errors, echoes, neighbour discovery, multicast listeners, and what lies next to these. */
const NOTABLE_TYPES = [
  0, 1, 2, 3, 4, 5, 8, 11, 12, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 143, 144,
];

function quoted(back: Ends, r: Random): Uint8Array {
  const ports = { sourcePort: r(65_536), destinationPort: r(65_536) };
  const [protocol, body] = pick<readonly [number, Uint8Array]>(r, [
    [PROTOCOL.tcp, tcp({ ...ports, flags: r(64) })],
    [PROTOCOL.udp, udp(ports)],
    [icmpProtocolOf(back.source), icmp(r(256), 0, r(65_536))],
  ]);
  return ip(back, protocol, body, anyOptions(r)).subarray(ETHERNET_BYTES);
}

/** With some bytes changed, or cut short; the MACs stay. */
function damaged(whole: Uint8Array, r: Random): Uint8Array {
  const frame = Uint8Array.from(whole);
  for (let changes = r(4); changes > 0; changes--)
    frame[MACS_BYTES + r(Math.min(frame.length - MACS_BYTES, HEADERS_BYTES))] = pick(r, [r(256), 0, 255]);
  return r(3) === 0 ? frame.subarray(0, ETHERNET_BYTES + r(frame.length - ETHERNET_BYTES + 1)) : frame;
}
