// The ports of a published rule: protocol and range of each, container ports' names looked up.
import type { NamedPort, NamedPorts } from '@podwall/controller/api/keyspace.ts';
import { PROTOCOL } from '@podwall/dp/protocol/values.ts';
import type { Family } from './ranges.ts';

/** As in a dp rule; `family` is set where the protocol exists in one only. */
export type PortRange = {
  readonly proto: number;
  readonly port: number;
  readonly portr: number;
  readonly family?: Family;
};
/** A container port's name, of any protocol or of one. */
export type PortName = { readonly name: string; readonly protocol?: NamedPort['protocol'] };
export type PortSpec = PortRange | PortName;

const MAX_PORT = 0xffff;
export const ANY_PORT: PortRange = { proto: PROTOCOL.any, port: 0, portr: MAX_PORT };
const WORDS: Readonly<Record<string, PortRange>> = {
  any: ANY_PORT,
  icmp: { proto: PROTOCOL.icmp, port: 0, portr: 0, family: 'ipv4' },
  icmpv6: { proto: PROTOCOL.icmpv6, port: 0, portr: 0, family: 'ipv6' },
};

/** Reads `tcp/443,tcp/8000-8100,udp/53,icmp,web,tcp/web`. Throws RangeError for a port that is out of range. */
export function parsePorts(text: string): PortSpec[] {
  return text.split(',').map(parsePort);
}

/** Those that have the name: none, one, or several where containers share it. */
export function portsOfName({ name, protocol }: PortName, ports: NamedPorts): PortRange[] {
  const named = Object.hasOwn(ports, name) ? (ports[name] ?? []) : [];
  return named
    .filter((known) => protocol === undefined || known.protocol === protocol)
    .map((known) => ({ proto: PROTOCOL[known.protocol], port: known.port, portr: known.port }));
}

function parsePort(text: string): PortSpec {
  const word = WORDS[text];
  if (word) return word;
  const [, protocol, port = text] = /^(tcp|udp|sctp)\/(.+)$/.exec(text) ?? [];
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') return { name: text };
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(port) ?? [];
  if (first === undefined) return { name: port, protocol };
  const range = { proto: PROTOCOL[protocol], port: Number(first), portr: Number(last) };
  if (range.port > range.portr || range.portr > MAX_PORT)
    throw new RangeError(`${text} is not a port or a range of ports`);
  return range;
}
