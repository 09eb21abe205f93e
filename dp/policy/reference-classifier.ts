// What a policy says of a connection, by a plain loop over its rules. The kernel's classifier must say the same.
import ipaddr from 'ipaddr.js';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, type Action, carriesApplications, DIRECTION, hasPorts, PROTOCOL } from '../protocol/values.ts';
import { canonical } from './names.ts';
import type { Policy } from './policy.ts';

export type Connection = {
  /** Who opened it: `egress` is the workload. */
  readonly direction: 'egress' | 'ingress';
  readonly local: string;
  readonly peer: string;
  readonly protocol: number;
  /** That it was opened to; 0 where the protocol has no ports. */
  readonly port: number;
  /** Its number; 0 where none was recognised and none will be; undefined before. What has no ports speaks none.
   * `any`: it can't be told any more, and is taken for what the first rule with applications says. */
  readonly application: number | 'any' | undefined;
  /** Every name that the peer's address is known to have. */
  readonly names: readonly string[];
  /** The name in the rule that let an open connection in: it goes on to have it, when its address no longer does. */
  readonly admittedBy?: string | undefined;
};

/** `ruleId` 0 is the default action, or a direction that is not policed. `undecided`: it passes until its application is known. */
export type Decision = { readonly action: Action; readonly ruleId: number } | 'undecided';

/** Addresses as hexadecimal digits: of one family they compare like numbers. */
type Range = { readonly first: string; readonly last: string };
type Prepared = { readonly rule: PolicyRule; readonly local: Range; readonly peer: Range };

export function referenceClassifier({
  defaultAction,
  directions,
  rules,
}: Policy): (connection: Connection) => Decision {
  const prepared = rules.toSorted((a, b) => a.id - b.id).map(prepare);
  return (connection) => {
    const isPoliced = directions & (connection.direction === 'ingress' ? DIRECTION.ingress : DIRECTION.egress);
    if (!isPoliced) return { action: ACTION.open, ruleId: 0 };
    const [local, peer] = [digits(connection.local), digits(connection.peer)];
    for (const one of prepared) {
      if (!matches(one, connection, local, peer)) continue;
      const { rule } = one;
      if (!rule.apps?.length) return { action: rule.action, ruleId: rule.id };
      if (connection.application === undefined && carriesApplications(connection.protocol)) return 'undecided';
      const { application } = connection;
      const own = application === 'any' ? rule.apps[0] : rule.apps.find(({ app }) => app === application);
      if (own) return { action: own.action, ruleId: own.rid };
    }
    return { action: defaultAction, ruleId: 0 };
  };
}

function prepare(rule: PolicyRule): Prepared {
  const source = { first: digits(rule.sip), last: digits(rule.sipr ?? rule.sip) };
  const destination = { first: digits(rule.dip), last: digits(rule.dipr ?? rule.dip) };
  return rule.ingress ? { rule, local: destination, peer: source } : { rule, local: source, peer: destination };
}

const digits = (address: string): string => Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex');

/** Whether all but the applications match. */
function matches(
  { rule, local, peer }: Prepared,
  connection: Connection,
  localDigits: string,
  peerDigits: string,
): boolean {
  if (rule.ingress !== (connection.direction === 'ingress')) return false;
  if (rule.proto !== PROTOCOL.any && rule.proto !== connection.protocol) return false;
  if (!isOfPort(rule, connection.port)) return false;
  if (!isWithin(localDigits, local)) return false;
  const { fqdn } = rule;
  if (!fqdn) return isWithin(peerDigits, peer);
  const { names, admittedBy } = connection;
  return names.some((name) => hasName(name, fqdn)) || canonical(admittedBy ?? '') === canonical(fqdn);
}

function isOfPort({ proto, port, portr = 0 }: PolicyRule, wanted: number): boolean {
  if (!hasPorts(proto)) return true;
  return wanted >= port && wanted <= (portr === 0 ? port : portr);
}

const isWithin = (address: string, { first, last }: Range): boolean =>
  address.length === first.length && address >= first && address <= last;

/** A pattern *.x has every name below x, and not x. */
function hasName(name: string, wanted: string): boolean {
  const [known, pattern] = [canonical(name), canonical(wanted)];
  return pattern.startsWith('*.') ? known.endsWith(pattern.slice(1)) : known === pattern;
}
