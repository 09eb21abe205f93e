// What SIGUSR1 prints: every workload, its policy, and the table of names, for a person to read. Pure.
import { applicationName } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { PROTOCOL } from '../protocol/values.ts';
import type { Names } from './names.ts';
import type { Workload } from './workloads.ts';

const ACTIONS: Readonly<Record<number, string>> = { 1: 'open', 2: 'deny', 3: 'learn', 4: 'violate' };
const DIRECTIONS: Readonly<Record<number, string>> = { 1: 'ingress', 2: 'egress', 3: 'both directions' };
const PROTOCOLS = new Map<number, string>(Object.entries(PROTOCOL).map(([name, number]) => [number, name]));

export type Drops = (workload: Workload) => readonly (readonly [why: string, packets: bigint])[];

export function dump(
  workloads: readonly Workload[],
  drops: Drops,
  names: Names,
  room: { readonly flows: number; readonly denials: number },
): string {
  const lines = [`${workloads.length} workloads`];
  for (const workload of workloads) {
    lines.push(...workloadLines(workload));
    for (const [why, packets] of drops(workload)) lines.push(`    dropped: ${packets} packets, ${why}`);
  }
  const known = names.list();
  lines.push(`${known.length} names`);
  for (const [name, id, addresses] of known)
    lines.push(`  ${name} (id ${id}): ${addresses.join(', ') || 'no address'}`);
  lines.push(`room for ${room.flows} flows, and for ${room.denials} denied ones`);
  return lines.join('\n');
}

function workloadLines({ mac, iface, ifindex, state, policy }: Workload): string[] {
  const head = `  ${mac} on ${iface} (interface ${ifindex}), epoch ${state.epoch}${state.tap ? ', tap: drops nothing' : ''}`;
  if (state.policy === 0) return [`${head}: no policy`];
  const fallback = `default ${ACTIONS[state.defaultAction]}, ${DIRECTIONS[state.directions]}`;
  if (!policy) return [`${head}: ${fallback}, rules from before dp started (the agent sends them again)`];
  return [`${head}: ${fallback}, ${policy.rules.length} rules`, ...policy.rules.map((rule) => `    ${ruleLine(rule)}`)];
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
  if (proto !== PROTOCOL.tcp && proto !== PROTOCOL.udp) return name;
  return `${name}/${portr === 0 || portr === port ? port : `${port}-${portr}`}`;
}
