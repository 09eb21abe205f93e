// From an event of the kernel programs to a THREAT_LOG. Pure.
import { direction, type Event, reason as REASON } from '../kernel/abi.gen.ts';
import { macText, packedOf } from '../kernel/address.ts';
import type { InternalNetworks } from '../networks/internal-networks.ts';
import { applicationNumber } from '../policy/applications.ts';
import { ETHER_TYPE } from '../protocol/address.ts';
import { NO_MAC, type Report, THREAT_FLAG } from '../protocol/reports.ts';
import { SEVERITY, THREAT, type ThreatKind } from '../protocol/threats.ts';

const THREATS: Readonly<Record<number, ThreatKind>> = {
  [REASON.policy]: THREAT.policyViolation,
  [REASON.spoofedMac]: THREAT.spoofedMac,
  [REASON.invalidPacket]: THREAT.invalidPacket,
  [REASON.unsupportedProtocol]: THREAT.unsupportedProtocol,
  [REASON.orphanFragment]: THREAT.orphanFragment,
  [REASON.strayIcmpError]: THREAT.strayIcmpError,
  [REASON.spoofedAddress]: THREAT.spoofedAddress,
};
const ICMP: readonly number[] = [1, 58];

/** `mac`: the workload's, where it is known. */
export function threatReport(
  event: Event,
  mac: string | undefined,
  reportedAt: number,
  networks: InternalNetworks,
): Report {
  const kind = THREATS[event.reason] ?? THREAT.policyViolation;
  const { key } = event;
  const isEgress = event.packetDirection === direction.egress;
  const [local, peer] = [packedOf(key.local), packedOf(key.peer)];
  const hasPorts = !ICMP.includes(key.protocol);
  const ports = hasPorts ? [key.localPort, key.peerPort] : [0, 0];
  const [source, destination] = isEgress ? [local, peer] : [peer, local];
  // Zeros where the packet ends before its addresses, or has none.
  const hasAddresses = local.etherType === event.etherType && (key.local.low | key.peer.low) !== 0n;
  const [sourcePort = 0, destinationPort = 0] = isEgress ? ports : ports.toReversed();
  const flags =
    (isEgress ? 0 : THREAT_FLAG.toWorkload) |
    (event.flowDirection === direction.ingress ? THREAT_FLAG.ingressConnection : 0) |
    (event.passed ? THREAT_FLAG.passed : 0) |
    (hasAddresses && networks.isExternal(key.peer) ? THREAT_FLAG.external : 0);
  const words = event.reason === REASON.spoofedMac ? `${kind.name} ${macText(event.mac)}` : kind.name;
  return {
    kind: 'threatLog',
    threat: {
      threatId: kind.id,
      reportedAt,
      count: event.count,
      action: event.action,
      severity: SEVERITY[kind.severity],
      ipProtocol: key.protocol & 0xff,
      flags,
      mac: mac ?? NO_MAC,
      etherType: hasAddresses ? source.etherType : ETHER_TYPE.none,
      source: source.bytes,
      destination: destination.bytes,
      sourcePort,
      destinationPort,
      icmpCode: event.icmpCode,
      icmpType: event.icmpType,
      capturedBytes: event.capturedBytes,
      application: applicationNumber(event.application),
      packetBytes: event.packetBytes,
      ruleId: event.ruleId,
      revision: event.revision,
      message: words,
    },
    packet: event.captured.subarray(0, event.capturedBytes),
  };
}
