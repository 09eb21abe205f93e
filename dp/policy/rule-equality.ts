// Whether two rules of the protocol say the same, member by member. Pure.
import type { PolicyRule } from '../protocol/commands.ts';

type Apps = NonNullable<PolicyRule['apps']>;

/** False also where two rules say the same in other words: an end of a range that is left out, or another form of an address. */
export const isSameRule = (a: PolicyRule, b: PolicyRule): boolean =>
  a.id === b.id &&
  a.dip === b.dip &&
  a.port === b.port &&
  a.action === b.action &&
  a.sip === b.sip &&
  a.dipr === b.dipr &&
  a.sipr === b.sipr &&
  a.portr === b.portr &&
  a.proto === b.proto &&
  a.ingress === b.ingress &&
  a.fqdn === b.fqdn &&
  a.vhost === b.vhost &&
  areSameApps(a.apps, b.apps);

function areSameApps(a: Apps | undefined, b: Apps | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((one, i) => isSameApp(one, b[i]));
}

const isSameApp = (a: Apps[number], b: Apps[number] | undefined): boolean =>
  a.app === b?.app && a.action === b.action && a.rid === b.rid;
