// Connections at and near the edges of rules, and some anywhere, from seeds. Pure.
import ipaddr from 'ipaddr.js';
import { APPLICATION_NAMES, applicationName } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { carriesApplications, hasPorts, PROTOCOL } from '../protocol/values.ts';
import { EXTENSION, VLAN } from './packets.ts';
import { FIRST_PAYLOADS, type FirstPayload } from './payloads.ts';
import { direction, NAMES, OWN, pick, type Random, TEN, v4, v6 } from './rule-sets.ts';
import { rule } from './rules.ts';
import type { Trial } from './trial.ts';

/** With no rules, connections anywhere. */
export function trials(rules: readonly PolicyRule[], n: number, r: Random): Trial[] {
  return Array.from({ length: n }, () => trial(rules.length > 0 ? rules : SOMEWHERE, r));
}

const SOMEWHERE: readonly PolicyRule[] = ([4, 6] as const).map((family) => rule({ family, peer: OWN[family][1] }));

function trial(rules: readonly PolicyRule[], r: Random): Trial {
  const aim = pick(r, rules);
  const { proto, port, portr = port } = r(4) === 0 ? pick(r, rules) : aim;
  const protocol = proto || pick(r, [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.sctp, PROTOCOL.icmp, PROTOCOL.icmpv6, 47]);
  const peer = aim.fqdn
    ? nameAddress(aim, r)
    : aim.ingress
      ? addressNear(r, aim.sip, aim.sipr)
      : addressNear(r, aim.dip, aim.dipr);
  const family = peer.includes(':') ? 6 : 4;
  const asRule = aim.ingress ? 'ingress' : 'egress';
  return {
    direction: r(10) ? asRule : direction(r),
    local: OWN[family][r(6) === 0 ? 1 : 0],
    peer,
    protocol,
    port: hasPorts(protocol) ? portNear(r, port, Math.max(port, portr)) : 0,
    says: saysOf(protocol, aim, r),
    ...(r(4) === 0 ? { carries: carried(r) } : {}),
  };
}

function nameAddress({ sip }: PolicyRule, r: Random): string {
  const known = pick(r, NAMES).addresses.filter((address) => address.includes(':') === sip.includes(':'));
  return known.length > 0 ? pick(r, known) : '10.200.9.9';
}

/** Inside, or at an end, or one beyond it. */
function portNear(r: Random, first: number, last: number): number {
  if (r(3)) return first + r(last - first + 1);
  return Math.min(65_535, Math.max(0, pick(r, [first - 1, first, last, last + 1])));
}

/** An end of the range, one beyond it, one inside, or any. */
function addressNear(r: Random, first: string, last: string = first): string {
  if (r(8) === 0) return pick(r, [v4(TEN + r(1 << 22)), '10.200.1.3', 'fd00:1::7', v6(r(5), r(1 << 15)), 'fd02::3']);
  const [from, to] = [numberOf(first), numberOf(last)];
  const near = r(3) ? from + ((to - from) * BigInt(r(1000))) / 999n : pick(r, [from - 1n, from, to, to + 1n]);
  const bytes = ipaddr.parse(first).toByteArray().length;
  return addressOf(near < 0n || near >> BigInt(8 * bytes) ? from : near, bytes);
}

const numberOf = (address: string): bigint =>
  BigInt(`0x${Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex')}`);

function addressOf(number: bigint, bytes: number): string {
  const octets = [...Buffer.from(number.toString(16).padStart(2 * bytes, '0'), 'hex')];
  const address = ipaddr.fromByteArray(octets);
  return isMapped(address) ? '::' : address.toString();
}

/** No packet has such an address: written in IPv6, it would be one of IPv4. */
const isMapped = (address: ipaddr.IPv4 | ipaddr.IPv6): boolean =>
  address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress();

/** Of an IPv4 packet only the options, of an IPv6 packet only the extension headers come to be. */
function carried(r: Random): NonNullable<Trial['carries']> {
  const { hopByHop, routing, destination } = EXTENSION;
  return {
    vlans: Array.from({ length: r(3) }, () => pick(r, Object.values(VLAN))),
    options: new Uint8Array(4 * r(11)),
    extensions: Array.from({ length: r(7) }, () => pick(r, [hopByHop, routing, destination])),
  };
}

const NONSENSE = { application: 'unknown', by: 'nonsense', bytes: Buffer.from('nonsense') } as const;
const BOTH_SILLY: readonly FirstPayload[] = [
  { ...NONSENSE, side: 'client' },
  { ...NONSENSE, side: 'server' },
];
const DNS_QUERY = FIRST_PAYLOADS.filter(({ application }) => application === 'DNS').map((payload) => ({
  ...payload,
  bytes: payload.bytes.subarray(2), // without the length that TCP needs
}));

function saysOf(protocol: number, { apps = [] }: PolicyRule, r: Random): readonly FirstPayload[] {
  if (!carriesApplications(protocol) || r(3) === 0) return [];
  if (r(4) === 0) return r(2) ? BOTH_SILLY : BOTH_SILLY.slice(0, 1);
  if (protocol === PROTOCOL.udp) return DNS_QUERY;
  const wanted = apps.length > 0 && r(2) ? applicationName(pick(r, apps).app) : pick(r, APPLICATION_NAMES);
  return [
    pick(
      r,
      FIRST_PAYLOADS.filter(({ application }) => application === wanted),
    ),
  ];
}
