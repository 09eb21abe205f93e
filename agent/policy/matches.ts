// What one published rule matches, as the parts that dp knows: one range of sources, one of destinations, one of ports.
import type { NamedPorts, PublishedRule } from '@podwall/controller/api/keyspace.ts';
import { type Groups, parseSide, rangesOf, type Side } from './peer.ts';
import { type PortName, type PortRange, parsePorts, portsOfName } from './ports.ts';
import type { AddressRange, Family } from './ranges.ts';

export type Match = {
  readonly source: AddressRange;
  readonly destination: AddressRange;
  readonly port: PortRange;
  readonly fqdn?: string;
};

export type Matches = {
  readonly matches: readonly Match[];
  /** Parts that could not be realised and are left out, in words. */
  readonly problems: readonly string[];
};

export type MatchContext = {
  readonly groups: Groups;
  /** The workload's own container ports. */
  readonly ports: NamedPorts;
  readonly hasGlobalIpv6: boolean;
};

const FAMILIES = ['ipv4', 'ipv6'] as const;

/** In order of peers, then ports. Throws RangeError where the rule can't be read. */
export function matchesOf(rule: PublishedRule, context: MatchContext): Matches {
  const from = parseSide(rule.from, context.groups);
  const to = parseSide(rule.to, context.groups);
  const fixed: PortRange[] = [];
  const named: Match[] = [];
  const hasIpv6 = rule.action === 'deny' || context.hasGlobalIpv6;
  const problems: string[] = [];
  for (const spec of parsePorts(rule.ports)) {
    if (!('name' in spec)) {
      fixed.push(spec);
    } else if (rule.direction === 'ingress') {
      const ports = portsOfName(spec, context.ports);
      fixed.push(...ports);
      if (ports.length === 0) problems.push(`the workload has no container port named ${spec.name}`);
    } else if (to.kind === 'group') {
      const { parts, missing } = membersByPorts(to, spec);
      for (const { side, ports } of parts) named.push(...pair(from, side, ports, hasIpv6));
      if (missing > 0)
        problems.push(`no container port is named ${spec.name} at ${missing} of ${to.members.length} peers`);
    } else {
      problems.push(`the port name ${spec.name} needs pods as peers`);
    }
  }
  return { matches: [...pair(from, to, fixed, hasIpv6), ...named], problems };
}

function pair(from: Side, to: Side, ports: readonly PortRange[], hasIpv6: boolean): Match[] {
  const name = to.kind === 'fqdn' ? { fqdn: to.name } : {};
  const isWild = isEveryAddress(from) && isEveryAddress(to);
  return FAMILIES.flatMap((family) => {
    const ofFamily = ports.filter((port) => exists(port, family, isWild, hasIpv6));
    return rangesOf(from, family).flatMap((source) =>
      rangesOf(to, family).flatMap((destination) => ofFamily.map((port) => ({ source, destination, port, ...name }))),
    );
  });
}

/**
 * What allows any IPv6 address is made only where the workload has IPv6, or the port is ICMPv6's: without it less passes.
 * What denies is always made: every interface has a link-local address, and may get another before it is seen here.
 */
function exists(port: PortRange, family: Family, isWild: boolean, hasIpv6: boolean): boolean {
  if (port.family) return port.family === family;
  return family === 'ipv4' || !isWild || hasIpv6;
}

const isEveryAddress = ({ kind }: Side): boolean => kind === 'any' || kind === 'fqdn';

/** The members that share their numbers for the named port, as a group of their own each. */
function membersByPorts(
  group: Extract<Side, { kind: 'group' }>,
  name: PortName,
): { parts: { side: Side; ports: readonly PortRange[] }[]; missing: number } {
  const byPorts = Map.groupBy(group.members, (member) => JSON.stringify(portsOfName(name, member.ports)));
  const parts = [...byPorts.values()].flatMap((members) => {
    const ports = members[0] ? portsOfName(name, members[0].ports) : [];
    return ports.length > 0 ? [{ side: { ...group, members }, ports }] : [];
  });
  const found = parts.reduce((count, { side }) => count + (side.kind === 'group' ? side.members.length : 0), 0);
  return { parts, missing: group.members.length - found };
}
