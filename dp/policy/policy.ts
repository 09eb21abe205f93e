// A workload's policy as the commands build it, and the checks that a schema can't make. Pure.
import { compareAddress, wordsOf } from '../kernel/address.ts';
import { requireRoom } from '../limits.ts';
import type { PolicyConfig, PolicyRule } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE, type ErrorCode } from '../protocol/reports.ts';
import { carriesApplications, hasPorts, POLICY_COMMAND, PROTOCOL } from '../protocol/values.ts';
import { isSameRule } from './rule-equality.ts';

export type Policy = {
  readonly defaultAction: PolicyConfig['defact'];
  readonly directions: PolicyConfig['dir'];
  /** In ascending order of id. */
  readonly rules: readonly PolicyRule[];
};

/** A whole policy command: what its batches made together. */
export type PolicyChange = Omit<PolicyConfig, 'flag' | 'rules'> & { readonly rules: readonly PolicyRule[] };

/** Of a policy. */
export const MAX_RULES = 65_536;

/** Throws LimitExceeded. */
export const requireRulesFit = (count: number): void =>
  requireRoom('rules in a policy', count, MAX_RULES, 'ranges of addresses and ports make one rule of many');

const fail = (code: ErrorCode, message: string): CommandError => new CommandError('ctrl_cfg_policy', code, message);

/**
 * The policy after a change; undefined where there is none any more. Rules that stay what they are stay the same objects,
 * and so does the list where all of them do. Throws CommandError: a rule that contradicts itself, an id twice, a change of
 * a policy that is not known; LimitExceeded: too many rules with those of before.
 */
export function changePolicy(current: Policy | undefined, change: PolicyChange): Policy | undefined {
  const isWhole = change.cmd === POLICY_COMMAND.add || (change.cmd === POLICY_COMMAND.del && change.rules.length === 0);
  if (change.cmd !== POLICY_COMMAND.del) checkRules(change.rules);
  if (!isWhole && !current)
    throw fail(
      ERROR_CODE.policyUnknown,
      `no policy is known for ${change.mac.join(', ')}: send the whole of it (cmd 1) first`,
    );
  if (change.cmd === POLICY_COMMAND.del) return isWhole || !current ? undefined : without(current, change.rules);
  const base = change.cmd === POLICY_COMMAND.mod && current ? current.rules : [];
  const byId = new Map([...base, ...change.rules].map((rule) => [rule.id, rule]));
  requireRulesFit(byId.size);
  const rules = [...byId.values()].sort((a, b) => a.id - b.id);
  return { defaultAction: change.defact, directions: change.dir, rules: asBefore(current?.rules ?? [], rules) };
}

/** An agent sends all again after it was away: what is the same is told by that it is the same object. Both are in order of id. */
function asBefore(before: readonly PolicyRule[], rules: readonly PolicyRule[]): readonly PolicyRule[] {
  let at = 0;
  let kept = 0;
  const after = rules.map((rule) => {
    while ((before[at]?.id ?? rule.id) < rule.id) at += 1;
    const same = before[at];
    if (!same || (same !== rule && !isSameRule(same, rule))) return rule;
    kept += 1;
    return same;
  });
  return kept === before.length && kept === after.length ? before : after;
}

function without(current: Policy, removed: readonly PolicyRule[]): Policy {
  const ids = new Set(removed.map(({ id }) => id));
  const rules = current.rules.filter(({ id }) => !ids.has(id));
  return rules.length === current.rules.length ? current : { ...current, rules };
}

function checkRules(rules: readonly PolicyRule[]): void {
  const seen = new Set<number>();
  for (const rule of rules) {
    const problem = seen.has(rule.id) ? 'its id is there twice' : problemOf(rule);
    if (problem) throw fail(ERROR_CODE.invalidCommand, `ctrl_cfg_policy: rule ${rule.id}: ${problem}`);
    if (rule.vhost) throw fail(ERROR_CODE.notSupported, `ctrl_cfg_policy: rule ${rule.id}: vhost is not supported yet`);
    seen.add(rule.id);
  }
}

/** What is wrong with a rule, in words. */
function problemOf(rule: PolicyRule): string | undefined {
  const { sip, sipr = sip, dip, dipr = dip, port, portr = 0, proto, fqdn, ingress, apps = [] } = rule;
  if (isIpv6(sip) !== isIpv6(dip)) return `sip ${sip} and dip ${dip} are not of one address family`;
  const range = rangeProblem('sip', sip, sipr) ?? rangeProblem('dip', dip, dipr);
  if (range) return range;
  if (hasPorts(proto) && portr !== 0 && portr < port) return `its ports run backwards, from ${port} to ${portr}`;
  if (fqdn && ingress) return `fqdn ${fqdn} on ingress: a name is a destination`;
  if (fqdn && (!isZero(dip) || !isZero(dipr))) return `dip ${dip} beside fqdn ${fqdn}: leave it at 0.0.0.0 or ::`;
  if (apps.length > 0 && !carriesApplications(proto) && proto !== PROTOCOL.any)
    return `apps with protocol ${proto}: only TCP and UDP carry them`;
  if (new Set(apps.map(({ app }) => app)).size < apps.length) return 'an application is there twice';
  return undefined;
}

function rangeProblem(name: string, from: string, to: string): string | undefined {
  if (isIpv6(from) !== isIpv6(to)) return `${name} ${from} and ${name}r ${to} are not of one address family`;
  return compareAddress(wordsOf(from), wordsOf(to)) > 0
    ? `its ${name} range runs backwards, from ${from} to ${to}`
    : undefined;
}

const isIpv6 = (text: string): boolean => text.includes(':');
const isZero = (text: string): boolean => text === '0.0.0.0' || wordsOf(text).every((word) => word === 0);
