// From the rules of the protocol to those of the classifier. Pure.
import { wordsOf } from '../kernel/address.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { PROTOCOL } from '../protocol/values.ts';
import { applicationCode } from './applications.ts';
import type { AddressRange, Rule } from './classifier.ts';

const MAX_PORT = 0xffff;

/**
 * The classifier's rules, in the order of the policy. A rule with applications becomes one rule an application, with
 * that one's own action and id. `nameId` gives the id of a domain name.
 */
export function classifierRules(rules: readonly PolicyRule[], nameId: (fqdn: string) => number): Rule[] {
  return rules.flatMap((rule) => expand(rule, nameId)).map((rule, rank) => ({ ...rule, rank }));
}

function expand(rule: PolicyRule, nameId: (fqdn: string) => number): Omit<Rule, 'rank'>[] {
  const source = rangeOf(rule.sip, rule.sipr);
  const destination = rangeOf(rule.dip, rule.dipr);
  const shared = {
    direction: rule.ingress ? ('ingress' as const) : ('egress' as const),
    local: rule.ingress ? destination : source,
    peer: rule.fqdn ? { fqdnId: nameId(rule.fqdn) } : { range: rule.ingress ? source : destination },
    proto: rule.proto,
    ...portsOf(rule),
  };
  const { apps = [] } = rule;
  if (apps.length === 0) return [{ ...shared, id: rule.id, action: rule.action, apps: [] }];
  return apps.map(({ app, action, rid }) => ({ ...shared, id: rid, action, apps: [applicationCode(app)] }));
}

/** Absent: the one address. */
function rangeOf(from: string, to: string = from): AddressRange {
  return { from: wordsOf(from), to: wordsOf(to) };
}

/** `portr` 0 is `port` alone; protocols without ports match whatever the rule says of ports. */
function portsOf({ proto, port, portr = 0 }: PolicyRule): { portFrom: number; portTo: number } {
  if (proto !== PROTOCOL.tcp && proto !== PROTOCOL.udp) return { portFrom: 0, portTo: MAX_PORT };
  return { portFrom: port, portTo: portr === 0 ? port : portr };
}
