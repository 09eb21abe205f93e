// The ports of a published rule: protocol and range of each, container ports' names looked up.
import type { NamedPorts } from '@podwall/controller/api/keyspace.ts';
import { PROTOCOL } from '@podwall/dp/protocol/values.ts';
import type { Family } from './ranges.ts';

/** As in a dp rule; `family` is set where the protocol exists in one only. */
export type PortRange = {
  readonly proto: number;
  readonly port: number;
  readonly portr: number;
  readonly family?: Family;
};
export type PortSpec = PortRange | { readonly name: string };

const MAX_PORT = 0xffff;
export const ANY_PORT: PortRange = { proto: PROTOCOL.any, port: 0, portr: MAX_PORT };
const WORDS: Readonly<Record<string, PortRange>> = {
  any: ANY_PORT,
  icmp: { proto: PROTOCOL.icmp, port: 0, portr: 0, family: 'ipv4' },
  icmpv6: { proto: PROTOCOL.icmpv6, port: 0, portr: 0, family: 'ipv6' },
};

/** Reads `tcp/443,tcp/8000-8100,udp/53,icmp,web`. Throws RangeError for a port that is out of range. */
export function parsePorts(text: string): PortSpec[] {
  return text.split(',').map(parsePort);
}

export function portOfName(name: string, ports: NamedPorts): PortRange | undefined {
  const found = Object.hasOwn(ports, name) ? ports[name] : undefined;
  return found && { proto: PROTOCOL[found.protocol], port: found.port, portr: found.port };
}

function parsePort(text: string): PortSpec {
  const word = WORDS[text];
  if (word) return word;
  const match = /^(tcp|udp)\/(\d+)(?:-(\d+))?$/.exec(text);
  if (!match) return { name: text };
  const [, protocol, first, last = first] = match;
  const [port, portr] = [Number(first), Number(last)];
  if (port > portr || portr > MAX_PORT) throw new RangeError(`${text} is not a port or a range of ports`);
  return { proto: protocol === 'tcp' ? PROTOCOL.tcp : PROTOCOL.udp, port, portr };
}
