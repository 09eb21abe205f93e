// From the rules of the protocol to those of the classifier. Pure.
import { compareAddress, type Words, wordsOf } from '../kernel/address.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { hasPorts } from '../protocol/values.ts';
import type { AddressRange } from './address-ranges.ts';
import { applicationCode } from './applications.ts';
import type { Rule } from './classifier.ts';

const MAX_PORT = 0xffff;
/** Where IPv4 lies among the addresses of the kernel: ::ffff:0:0/96. */
const IPV4 = { from: wordsOf('0.0.0.0'), to: wordsOf('255.255.255.255') } as const;
const BELOW_IPV4 = wordsOf('::fffe:ffff:ffff');
const ABOVE_IPV4 = wordsOf('::1:0:0:0');

/**
 * A rule as the classifier has it. One for IPv6 may become two. A rule with applications becomes one rule an application, with
 * that one's own action and id. `nameId` gives the id of a domain name.
 */
export function classifierRules(rule: PolicyRule, nameId: (fqdn: string) => number): Rule[] {
  const shared = {
    direction: rule.ingress ? ('ingress' as const) : ('egress' as const),
    proto: rule.proto,
    ...portsOf(rule),
  };
  const { apps = [] } = rule;
  return endsOf(rule, nameId).flatMap((ends) => {
    if (apps.length === 0) return [{ ...shared, ...ends, id: rule.id, action: rule.action, apps: [] }];
    return apps.map(({ app, action, rid }) => ({ ...shared, ...ends, id: rid, action, apps: [applicationCode(app)] }));
  });
}

/** Both ends of a packet are of one family: where a rule's ranges are of IPv6, it is enough that one leaves IPv4 out. */
function endsOf(rule: PolicyRule, nameId: (fqdn: string) => number): Pick<Rule, 'local' | 'peer'>[] {
  const source = rangeOf(rule.sip, rule.sipr);
  const destination = rangeOf(rule.dip, rule.dipr);
  const [local, peer] = rule.ingress ? [destination, source] : [source, destination];
  if (!rule.fqdn) return ofOneFamily(peer).map((range) => ({ local, peer: { range } }));
  const fqdnId = nameId(rule.fqdn);
  return ofOneFamily(local).map((range) => ({ local: range, peer: { fqdnId } }));
}

/** A range within IPv4 as it is; of one of IPv6 what lies below and above IPv4. */
function ofOneFamily(range: AddressRange): AddressRange[] {
  if (compareAddress(range.from, IPV4.from) >= 0 && compareAddress(range.to, IPV4.to) <= 0) return [range];
  const below = { from: range.from, to: lower(range.to, BELOW_IPV4) };
  const above = { from: higher(range.from, ABOVE_IPV4), to: range.to };
  return [below, above].filter(({ from, to }) => compareAddress(from, to) <= 0);
}

const lower = (a: Words, b: Words): Words => (compareAddress(a, b) <= 0 ? a : b);
const higher = (a: Words, b: Words): Words => (compareAddress(a, b) >= 0 ? a : b);

/** Absent: the one address. */
function rangeOf(from: string, to: string = from): AddressRange {
  return { from: wordsOf(from), to: wordsOf(to) };
}

/** `portr` 0 is `port` alone; protocols without ports match whatever the rule says of ports. */
function portsOf({ proto, port, portr = 0 }: PolicyRule): { portFrom: number; portTo: number } {
  if (!hasPorts(proto)) return { portFrom: 0, portTo: MAX_PORT };
  return { portFrom: port, portTo: portr === 0 ? port : portr };
}
