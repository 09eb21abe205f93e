// What forms of policies, rules and packets verdicts were about: a comparison means little of what never came. Pure.
import type { Judged } from '../bpf/comparison.ts';
import type { Policy } from '../policy/policy.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION, hasPorts, PROTOCOL } from '../protocol/values.ts';

export const AFTER_ALL = 'DEL of all';
/** What the last command was. */
export type Kind = 'ADD' | 'MOD' | 'DEL' | typeof AFTER_ALL | 'name set' | 'name deleted';

export type Circumstances = {
  readonly policy: Policy | undefined;
  readonly set: string;
  readonly kind: Kind;
  /** It was open before the last command. */
  readonly isOpen: boolean;
};

const ACTION_NAMES = Object.keys(ACTION);
const PROTOCOL_NAMES = ['tcp', 'udp', 'sctp', 'icmp', 'icmpv6', 'other'] as const;
const SETS = ['realistic', 'overlapping', 'nested', 'ipv6', 'named', 'mixed', 'dense'];

/** Every form that there is, by group. */
export const FORMS = {
  rules: ['0', '1 to 9', '10 to 99', '100 to 999', '1,000 to 9,999', '10,000'],
  set: SETS,
  dir: ['no policy', 'ingress', 'egress', 'both'],
  direction: ['egress', 'ingress', 'not policed'],
  packet: PROTOCOL_NAMES.flatMap((name) => [`IPv4 ${name}`, `IPv6 ${name}`]),
  headers: ['plain', 'one VLAN tag', 'two VLAN tags', 'IPv4 options', 'IPv6 extensions'],
  says: ['nothing', 'unknown', 'known'],
  decision: [
    'undecided',
    ...['rule', 'application', 'default'].flatMap((by) => ACTION_NAMES.map((action) => `${by}: ${action}`)),
  ],
  'rule’s protocol': ['any', ...PROTOCOL_NAMES],
  'rule’s ports': ['one', 'one with portr 0', 'one with portr the same', 'range', 'every', 'port 0'],
  'rule’s peer': ['address', 'range', 'every', 'name', 'pattern'],
  'rule’s own side': ['address', 'range', 'every'],
  edge: ['first port', 'last port', 'first address', 'last address'],
  after: ['ADD', 'MOD', 'DEL', AFTER_ALL, 'name set', 'name deleted'],
  'open flow': ['goes on', 'is cut'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type Group = keyof typeof FORMS;

/** How many verdicts were about each form. */
export class FormCounts {
  readonly #counts = new Map<string, number>();

  add(judged: Judged, circumstances: Circumstances): void {
    for (const form of formsOf(judged, circumstances)) this.#counts.set(form, (this.#counts.get(form) ?? 0) + 1);
  }

  of(group: Group, form: string): number {
    return this.#counts.get(`${group}: ${form}`) ?? 0;
  }

  /** Those that came less often than `least` times. */
  rare(least: number): string[] {
    return this.list().flatMap(({ group, form, count }) => (count < least ? [`${group}: ${form} (${count})`] : []));
  }

  list(): { readonly group: Group; readonly form: string; readonly count: number }[] {
    const groups = Object.entries(FORMS) as [Group, readonly string[]][]; // the keys are the type's
    return groups.flatMap(([group, forms]) => forms.map((form) => ({ group, form, count: this.of(group, form) })));
  }
}

function* formsOf({ trial, outcome, rule }: Judged, { policy, set, kind, isOpen }: Circumstances): Generator<string> {
  const family = trial.peer.includes(':') ? 'IPv6' : 'IPv4';
  yield `rules: ${sizeOf(policy?.rules.length ?? 0)}`;
  yield `set: ${set}`;
  yield `dir: ${policy ? DIRS[policy.directions] : 'no policy'}`;
  const isPoliced = ((policy?.directions ?? 0) & DIRECTION[trial.direction]) !== 0;
  yield `direction: ${isPoliced ? trial.direction : 'not policed'}`;
  yield `packet: ${family} ${protocolName(trial.protocol)}`;
  yield `after: ${kind}`;
  yield `says: ${saysOf(trial)}`;
  for (const header of headersOf(trial, family)) yield `headers: ${header}`;
  if (isOpen) yield `open flow: ${outcome.verdict === 'pass' ? 'goes on' : 'is cut'}`;
  if (!isPoliced) return;
  if (outcome.action === 0) yield 'decision: undecided';
  else
    yield `decision: ${rule ? (rule.apps?.length ? 'application' : 'rule') : 'default'}: ${ACTION_NAMES[outcome.action - 1]}`;
  if (rule) yield* ruleForms(rule, trial);
}

const DIRS = { 1: 'ingress', 2: 'egress', 3: 'both' } as const;

function sizeOf(rules: number): string {
  if (rules < 10) return rules === 0 ? '0' : '1 to 9';
  if (rules < 1000) return rules < 100 ? '10 to 99' : '100 to 999';
  return rules < LARGE ? '1,000 to 9,999' : '10,000';
}

/** A policy of 10,000 rules is one still when a few were removed. */
const LARGE = 9_900;

function protocolName(protocol: number): string {
  return PROTOCOL_NAMES.find((name) => name !== 'other' && PROTOCOL[name] === protocol) ?? 'other';
}

function saysOf({ says }: Judged['trial']): string {
  if (says.length === 0) return 'nothing';
  return says.every(({ application }) => application === 'unknown') ? 'unknown' : 'known';
}

function* headersOf({ carries }: Judged['trial'], family: string): Generator<string> {
  if (!carries) yield 'plain';
  const tags = carries?.vlans?.length ?? 0;
  if (tags > 0) yield tags === 1 ? 'one VLAN tag' : 'two VLAN tags';
  if (carries?.options?.length && family === 'IPv4') yield 'IPv4 options';
  if (carries?.extensions?.length && family === 'IPv6') yield 'IPv6 extensions';
}

function* ruleForms(rule: PolicyRule, { port, peer }: Judged['trial']): Generator<string> {
  const { sip, sipr, dip, dipr, ingress, proto, fqdn } = rule;
  const [own, other] = ingress ? [range(dip, dipr), range(sip, sipr)] : [range(sip, sipr), range(dip, dipr)];
  yield `rule’s protocol: ${proto === PROTOCOL.any ? 'any' : protocolName(proto)}`;
  yield `rule’s peer: ${fqdn ? (fqdn.startsWith('*.') ? 'pattern' : 'name') : other.form}`;
  yield `rule’s own side: ${own.form}`;
  if (!fqdn && peer === other.first) yield 'edge: first address';
  if (!fqdn && peer === other.last) yield 'edge: last address';
  if (!hasPorts(proto)) return;
  const last = rule.portr ? rule.portr : rule.port;
  yield `rule’s ports: ${portForm(rule)}`;
  if (rule.port === 0) yield 'rule’s ports: port 0';
  if (port === rule.port) yield 'edge: first port';
  if (port === last) yield 'edge: last port';
}

function portForm({ port, portr }: PolicyRule): string {
  if (portr === undefined) return 'one';
  if (portr === 0) return 'one with portr 0';
  if (portr === port) return 'one with portr the same';
  return port === 0 && portr === 0xffff ? 'every' : 'range';
}

function range(first: string, last: string | undefined): { first: string; last: string; form: string } {
  if (last === undefined || last === first) return { first, last: first, form: 'address' };
  const isEvery =
    (first === '0.0.0.0' && last === '255.255.255.255') || (first === '::' && last.startsWith('ffff:ffff:'));
  return { first, last, form: isEvery ? 'every' : 'range' };
}
