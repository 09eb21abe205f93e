// What the schema of a rule can't say: fields that exclude or need each other, and ends of ranges in their order.
import { contains, mappedIpv4, parseCidr, parseEnds } from '../addresses/range.ts';
import { parsePort } from './formats.ts';
import type { Peer } from './network-rule.ts';
import type { PodwallRule } from './resources.ts';
import { checkSelector, type Fault } from './selector-checks.ts';

type Direction = 'egress' | 'ingress';
type RuleEntry =
  | NonNullable<PodwallRule['spec']['egress']>[number]
  | NonNullable<PodwallRule['spec']['ingress']>[number];

const PEER_KINDS = ['ip', 'ipRange', 'cidr', 'fqdn', 'node', 'any'] as const;
/** Peers whose container ports have names that the controller knows. */
const hasContainerPorts = (peer: Peer): boolean => 'podSelector' in peer || 'namespaceSelector' in peer;

export function checkRule({ kind, spec }: PodwallRule): Fault[] {
  const entries = [...located('egress', spec.egress), ...located('ingress', spec.ingress)];
  return [
    ...checkSelector('spec.selector', spec.selector),
    ...(kind === 'ClusterNetworkRule' ? checkSelector('spec.namespaceSelector', spec.namespaceSelector) : []),
    ...checkNames(entries),
    ...entries.flatMap(checkEntry),
  ];
}

type Located = {
  readonly path: string;
  readonly direction: Direction;
  readonly entry: RuleEntry;
  readonly peers: readonly Peer[];
};

function located(direction: Direction, entries: readonly RuleEntry[] = []): Located[] {
  return entries.map((entry, index) => {
    const peers = ('to' in entry ? entry.to : 'from' in entry ? entry.from : undefined) ?? [];
    return { path: `spec.${direction}[${index}]`, direction, entry, peers };
  });
}

function checkNames(entries: readonly Located[]): Fault[] {
  const first = new Map<string, string>();
  return entries.flatMap(({ path, entry: { name } }) => {
    const other = first.get(name);
    if (other === undefined) first.set(name, path);
    return other === undefined
      ? []
      : [{ path: `${path}.name`, message: `${quoted(name)} is already the name of ${other}` }];
  });
}

function checkEntry({ path, direction, entry, peers }: Located): Fault[] {
  const list = direction === 'egress' ? 'to' : 'from';
  return [
    ...peers.flatMap((peer, index) => checkPeer(`${path}.${list}[${index}]`, direction, peer)),
    ...(entry.ports ?? []).flatMap((port, index) =>
      checkPort(`${path}.ports[${index}]`, port, direction, entry, peers),
    ),
  ];
}

function checkPort(
  path: string,
  text: string,
  direction: Direction,
  entry: RuleEntry,
  peers: readonly Peer[],
): Fault[] {
  const port = parsePort(text);
  if (port?.kind === 'range' && port.first > port.last) {
    return [{ path, message: `${quoted(text)} is reversed: use ${port.protocol}/${port.last}-${port.first}` }];
  }
  if ((port?.kind === 'icmp' || port?.kind === 'icmpv6') && (entry.applications ?? []).length > 0) {
    return [
      { path, message: `${quoted(text)} carries no application: use tcp or udp ports, or leave out applications` },
    ];
  }
  if (port?.kind === 'named' && direction === 'egress' && !(peers.length > 0 && peers.every(hasContainerPorts))) {
    const message = `${quoted(text)} is a container port's name, which only peers by podSelector or namespaceSelector have`;
    return [{ path, message: `${message}: use a number, as in tcp/8080` }];
  }
  return [];
}

function checkPeer(path: string, direction: Direction, peer: Peer): Fault[] {
  const kinds: string[] = PEER_KINDS.filter((kind) => kind in peer);
  if (hasContainerPorts(peer)) kinds.push('podSelector and namespaceSelector');
  if (kinds.length > 1) {
    return [
      { path, message: `has ${kinds.join(' and ')}: use one kind of peer an entry, and several entries for several` },
    ];
  }
  const faults: Fault[] = [];
  const fault = (field: string, message: string) => faults.push({ path: field ? `${path}.${field}` : path, message });
  if (kinds.length === 0)
    fault('', `names no peer: use one of ${PEER_KINDS.join(', ')}, podSelector, namespaceSelector`);
  if (direction === 'ingress' && peer.fqdn !== undefined) fault('fqdn', 'is for egress only: use cidr or podSelector');
  if (peer.vhost !== undefined && peer.fqdn === undefined) fault('vhost', 'needs fqdn beside it');
  if (peer.fqdn !== undefined && /^[\d.]+$/.test(peer.fqdn)) fault('fqdn', `${quoted(peer.fqdn)} is no name: use ip`);
  if (peer.except !== undefined && peer.cidr === undefined) fault('except', 'needs cidr beside it');
  if (peer.ipRange !== undefined) {
    const ends = parseEnds(peer.ipRange);
    const swapped = peer.ipRange.split('-').reverse().join('-');
    if (ends && ends.first > ends.last) fault('ipRange', `${quoted(peer.ipRange)} is reversed: use ${swapped}`);
  }
  for (const field of ['ip', 'cidr', 'ipRange'] as const) {
    const [written = ''] = peer[field]?.split(/[/-]/) ?? [];
    const ipv4 = mappedIpv4(written);
    if (ipv4) fault(field, `${quoted(peer[field] ?? '')} is IPv4 in the clothes of IPv6: use ${ipv4}`);
  }
  const network = parseCidr(peer.cidr ?? '');
  for (const [index, text] of (network ? (peer.except ?? []) : []).entries()) {
    const excluded = parseCidr(text);
    if (network && excluded && !contains(network, excluded)) {
      fault(`except[${index}]`, `${quoted(text)} is outside of ${peer.cidr}: use networks inside it`);
    }
  }
  return [
    ...faults,
    ...checkSelector(`${path}.podSelector`, peer.podSelector),
    ...checkSelector(`${path}.namespaceSelector`, peer.namespaceSelector),
  ];
}

const quoted = (text: string): string => JSON.stringify(text);
