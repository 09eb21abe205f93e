// What SIGUSR1 prints: every workload, its policy, and the table of names, for a person to read. Pure.
import { tap as TAP } from '../kernel/abi.gen.ts';
import type { Answers } from '../learning/answer-counts.ts';
import { type LearntAddress, nowTicks, secondsUntil } from '../learning/learnt-addresses.ts';
import { applicationName } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { hasPorts, PROTOCOL } from '../protocol/values.ts';
import type { KernelLosses } from '../reports/losses.ts';
import type { Engine } from './commands.ts';
import type { Workload } from './workload.ts';

const ACTIONS: Readonly<Record<number, string>> = { 1: 'open', 2: 'deny', 3: 'learn', 4: 'violate' };
const DIRECTIONS: Readonly<Record<number, string>> = { 1: 'ingress', 2: 'egress', 3: 'both directions' };
const PROTOCOLS = new Map<number, string>(Object.entries(PROTOCOL).map(([name, number]) => [number, name]));

export function dump(
  { workloads, names, networks, learnt }: Pick<Engine, 'workloads' | 'names' | 'networks' | 'learnt'>,
  room: { readonly flows: number; readonly denials: number },
  lost: KernelLosses,
  answers: { readonly resolvers: readonly string[]; readonly counts: Answers },
): string {
  const all = workloads.all();
  const lines = [`${all.length} workloads`];
  if (workloads.isDisabled) lines.push('  policies are off on this node (ctrl_sys_conf): nothing is dropped');
  for (const workload of all) {
    lines.push(...workloadLines(workload));
    for (const [why, packets] of workloads.drops(workload)) lines.push(`    dropped: ${packets} packets, ${why}`);
  }
  const internal = networks.list();
  lines.push(`internal networks: ${internal.join(', ') || 'not told, so no peer is external'}`);
  const known = names.list();
  lines.push(`${known.length} names`);
  const now = nowTicks();
  const byName = Map.groupBy(learnt.all(now), ({ name }) => name);
  for (const [name, id, addresses] of known) {
    const texts = [...addresses, ...(byName.get(id) ?? []).map((one) => learntText(one, now))];
    lines.push(`  ${name} (id ${id}): ${texts.join(', ') || 'no address'}`);
  }
  lines.push(...answerLines(answers));
  lines.push(`room for ${room.flows} flows, and for ${room.denials} denied ones`);
  lines.push(`lost in the kernel: ${lost.events} events, ${lost.hits} hits, ${lost.flows} flows`);
  return lines.join('\n');
}

const learntText = ({ address, end, isKept }: LearntAddress, now: number): string =>
  `${address} (learnt, ${secondsUntil(end, now)} s${isKept ? ' more, as connections use it' : ''})`;

function answerLines({ resolvers, counts }: Parameters<typeof dump>[3]): string[] {
  const { learnt, cut, alien, byTcp, lost } = counts;
  return [
    `resolvers: ${resolvers.join(', ') || 'not told, so no address is learnt from answers'}`,
    `answers learnt from: ${learnt}; not to their end: ${cut}; to another question: ${alien}; without room: ${lost}`,
    `connections by TCP to resolvers, which are not read: ${byTcp}`,
  ];
}

function workloadLines({ mac, iface, ifindex, port, state, policy }: Workload): string[] {
  const queue = port?.kind === 'queue' ? ` ${port.queue}` : '';
  const where = port ? `${port.kind}${queue} port, ${port.netns}` : `interface ${ifindex}`;
  const head = `  ${mac} on ${iface} (${where}), epoch ${state.epoch}${tapText(state.tap)}`;
  if (state.policy === 0) return [`${head}: no policy`];
  const fallback = `default ${ACTIONS[state.defaultAction]}, ${DIRECTIONS[state.directions]}`;
  if (!policy) return [`${head}: ${fallback}, rules from before dp started (the agent sends them again)`];
  const { rules } = policy.unpacked();
  return [`${head}: ${fallback}, ${rules.length} rules`, ...rules.map((rule) => `    ${ruleLine(rule)}`)];
}

function tapText(bits: number): string {
  if (bits & TAP.workload) return ', tap: drops nothing';
  if (bits & TAP.port) return ', watched: drops nothing';
  return bits & TAP.node ? ', drops nothing (policies are off)' : '';
}

function ruleLine(rule: PolicyRule): string {
  const { id, ingress, action, apps = [], fqdn } = rule;
  const to = fqdn ?? range(rule.dip, rule.dipr);
  const what = apps.map(({ app, action: own }) => `${applicationName(app)} ${ACTIONS[own]}`).join(', ');
  const direction = ingress ? 'ingress' : 'egress';
  return `${id} ${direction} ${range(rule.sip, rule.sipr)} -> ${to} ${ports(rule)}: ${what || ACTIONS[action]}`;
}

const range = (from: string, to = from): string => (from === to ? from : `${from}-${to}`);

function ports({ proto, port, portr = 0 }: PolicyRule): string {
  const name = PROTOCOLS.get(proto) ?? String(proto);
  if (!hasPorts(proto)) return name;
  return `${name}/${portr === 0 || portr === port ? port : `${port}-${portr}`}`;
}
