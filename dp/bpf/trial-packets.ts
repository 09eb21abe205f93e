// The packets of a connection that is judged, and what is known of its application after each. Pure.
import { APPLICATION } from '../protocol/applications.ts';
import { PROTOCOL } from '../protocol/values.ts';
import type { Side } from './connection.ts';
import { icmp, icmpProtocolOf, sctp, TCP_FLAG, tcp, udp } from './packets.ts';
import type { FirstPayload } from './payloads.ts';
import type { Trial } from './trial.ts';

/** `application`: its number, 0 where none will be told, undefined where it may be yet. */
export type Packet = { readonly side: Side; readonly body: Uint8Array; readonly application: number | undefined };

const CLIENT_START = 1_000_000;
const SERVER_START = 9_000_000;
const ECHO: Readonly<Record<number, number>> = { [PROTOCOL.icmp]: 8, [PROTOCOL.icmpv6]: 128 };
const { ack, psh, syn } = TCP_FLAG;

export const isEcho = ({ protocol, peer }: Trial): boolean => icmpProtocolOf(peer) === protocol;

export function packetsOf(trial: Trial, clientPort: number): Packet[] {
  if (trial.protocol === PROTOCOL.tcp) return tcpPackets(trial, clientPort);
  if (trial.protocol === PROTOCOL.udp) return udpPackets(trial, clientPort);
  return [{ side: 'client', body: withoutApplication(trial, clientPort), application: undefined }];
}

/** One more from the client, which tells nothing new. */
export function laterPacket(trial: Trial, clientPort: number): Omit<Packet, 'application'> {
  const to = { sourcePort: clientPort, destinationPort: trial.port };
  const { protocol } = trial;
  if (protocol === PROTOCOL.udp) return { side: 'client', body: udp(to) };
  if (protocol !== PROTOCOL.tcp) return { side: 'client', body: withoutApplication(trial, clientPort) };
  return { side: 'client', body: tcp({ ...to, flags: ack, sequence: CLIENT_START + 1 }) };
}

function withoutApplication(trial: Trial, clientPort: number): Uint8Array {
  if (isEcho(trial)) return icmp(ECHO[trial.protocol] ?? 0, 0, clientPort << 16);
  if (trial.protocol === PROTOCOL.sctp) return sctp({ sourcePort: clientPort, destinationPort: trial.port });
  return new Uint8Array(8);
}

function tcpPackets({ port, says }: Trial, clientPort: number): Packet[] {
  const to = { sourcePort: clientPort, destinationPort: port };
  const back = { sourcePort: port, destinationPort: clientPort };
  const application = undefined;
  const packets: Packet[] = [{ side: 'client', body: tcp({ ...to, flags: syn, sequence: CLIENT_START }), application }];
  if (says.length > 0)
    packets.push({ side: 'server', body: tcp({ ...back, flags: syn | ack, sequence: SERVER_START }), application });
  for (const [i, { side, bytes: payload }] of says.entries()) {
    const segment = side === 'client' ? { ...to, sequence: CLIENT_START + 1 } : { ...back, sequence: SERVER_START + 1 };
    packets.push({
      side,
      body: tcp({ ...segment, flags: psh | ack, payload }),
      application: knownAfter(says.slice(0, i + 1)),
    });
  }
  return packets;
}

/** The client speaks first, and its first datagram tells the application or that none will be told. */
function udpPackets({ port, says }: Trial, clientPort: number): Packet[] {
  const to = { sourcePort: clientPort, destinationPort: port };
  const back = { sourcePort: port, destinationPort: clientPort };
  if (says.length === 0) return [{ side: 'client', body: udp(to), application: undefined }];
  return says.map(({ side, bytes }, i) => ({
    side,
    body: udp(side === 'client' ? to : back, bytes),
    application: knownAfter(says.slice(0, i + 1)) ?? 0,
  }));
}

function knownAfter(says: readonly FirstPayload[]): number | undefined {
  const told = says.find(({ application }) => application !== 'unknown');
  if (told && told.application !== 'unknown') return APPLICATION[told.application];
  return new Set(says.map(({ side }) => side)).size === 2 ? 0 : undefined;
}
