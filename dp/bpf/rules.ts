// Writes rules of the protocol in short, for tests. Pure.

import { APPLICATION, type ApplicationName } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, type Action, PROTOCOL } from '../protocol/values.ts';

export type RuleText = {
  readonly id?: number;
  readonly direction?: 'egress' | 'ingress';
  /** `any`, an address, `first-last`, or `fqdn:name`. */
  readonly peer?: string;
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
  const { id = 1001, direction = 'egress', peer = 'any', ports = 'any', action = ACTION.open, apps = {} } = text;
  const fqdn = peer.startsWith('fqdn:') ? peer.slice('fqdn:'.length) : undefined;
  const family = text.family ?? (peer.includes('::') ? 6 : 4);
  const any = ANY[family];
  const [first = any.first, last = first] = fqdn ? [] : peer === 'any' ? [any.first, any.last] : peer.split('-');
  const isIngress = direction === 'ingress';
  const list = Object.entries(apps).map(([name, own]) => ({ app: numberOf(name), action: own, rid: id }));
  return {
    id,
    ...(isIngress
      ? { sip: first, sipr: last, dip: any.first, dipr: any.last }
      : { sip: any.first, sipr: any.last, dip: first, dipr: last }),
    ...portsOf(ports),
    action,
    ingress: isIngress,
    ...(fqdn ? { fqdn, dip: any.first, dipr: any.first } : {}),
    ...(list.length > 0 ? { apps: list } : {}),
  };
}

const numberOf = (name: string): number => APPLICATION[name as ApplicationName]; // the keys of RuleText's own apps

function portsOf(text: string): Pick<PolicyRule, 'proto' | 'port' | 'portr'> {
  const [protocol = '', range = '0-65535'] = text.split('/');
  const [port = 0, portr = port] = range.split('-').map(Number);
  return { proto: protocolOf(protocol), port, portr };
}

const protocols: Readonly<Record<string, number>> = PROTOCOL;
const protocolOf = (name: string): number => protocols[name] ?? Number(name);
