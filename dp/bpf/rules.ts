// Writes rules of the protocol in short, for tests. Pure.

import { APPLICATION, type ApplicationName } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, type Action, PROTOCOL } from '../protocol/values.ts';

export type RuleText = {
  readonly id?: number;
  readonly direction?: 'egress' | 'ingress';
  /** `any`, an address, `first-last`, or `fqdn:name`. */
  readonly peer?: string;
  /** The workload's own side, in the same forms but for a name. */
  readonly local?: string;
  /** `any`, `icmp`, `icmpv6`, a protocol number, `tcp/443`, `udp/1-5`. */
  readonly ports?: string;
  readonly action?: Action;
  readonly apps?: Partial<Record<ApplicationName, Action>>;
  readonly family?: 4 | 6;
};

const ANY = {
  4: { first: '0.0.0.0', last: '255.255.255.255' },
  6: { first: '::', last: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' },
} as const;

/** Allows everything, unless told otherwise. An application's action is reported under the rule's own id. */
export function rule(text: RuleText = {}): PolicyRule {
  const {
    id = 1001,
    direction = 'egress',
    peer = 'any',
    local = 'any',
    ports = 'any',
    action = ACTION.open,
    apps = {},
  } = text;
  const fqdn = peer.startsWith('fqdn:') ? peer.slice('fqdn:'.length) : undefined;
  const family = text.family ?? (!fqdn && peer.includes(':') ? 6 : 4);
  const isIngress = direction === 'ingress';
  const own = rangeOf(local, family);
  const other = fqdn ? { first: ANY[family].first, last: ANY[family].first } : rangeOf(peer, family);
  const [source, destination] = isIngress ? [other, own] : [own, other];
  const list = Object.entries(apps).map(([name, itsAction]) => ({ app: numberOf(name), action: itsAction, rid: id }));
  return {
    id,
    sip: source.first,
    sipr: source.last,
    dip: destination.first,
    dipr: destination.last,
    ...portsOf(ports),
    action,
    ingress: isIngress,
    ...(fqdn ? { fqdn } : {}),
    ...(list.length > 0 ? { apps: list } : {}),
  };
}

function rangeOf(text: string, family: 4 | 6): { first: string; last: string } {
  if (text === 'any') return ANY[family];
  const [first = '', last = first] = text.split('-');
  return { first, last };
}

const numberOf = (name: string): number => APPLICATION[name as ApplicationName]; // the keys of RuleText's own apps

function portsOf(text: string): Pick<PolicyRule, 'proto' | 'port' | 'portr'> {
  const [protocol = '', range = '0-65535'] = text.split('/');
  const [port = 0, portr = port] = range.split('-').map(Number);
  return { proto: protocolOf(protocol), port, portr };
}

const protocols: Readonly<Record<string, number>> = PROTOCOL;
const protocolOf = (name: string): number => protocols[name] ?? Number(name);

/** Rules that allow all of both families, in both directions. */
export const EVERYTHING: readonly PolicyRule[] = ([4, 6] as const).flatMap((family) => [
  rule({ id: family, family }),
  rule({ id: family + 1, family, direction: 'ingress' }),
]);
