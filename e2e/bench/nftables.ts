// The same rules for nftables, in two forms. Pure: the text that nft reads.
import type { PolicyRule } from '@podwall/dp/protocol/commands.ts';

/** `list`: a line a rule. `maps`: what an expert would write, one look-up in a map of intervals. */
export type Form = 'list' | 'maps';

const TABLE = 'ip podwall_bench';

/**
 * A ruleset in which each of the workloads has this policy. Both forms find the workload by a map and let what belongs
 * to a connection pass first, as Podwall does: only the first packet of a connection meets the rules.
 */
export function ruleset(form: Form, rules: readonly PolicyRule[], workloads: readonly string[]): string {
  const isMap = form === 'maps' && rules.length > 0;
  const elements = rules.map((rule) => `${matches(rule).join(' . ')} : accept`);
  const policy = isMap ? ['ip daddr . meta l4proto . th dport vmap @rules'] : rules.map(line);
  return [
    `table ${TABLE} {`,
    map(
      'workloads',
      'ipv4_addr : verdict',
      '',
      workloads.map((ip) => `${ip} : jump of_workload`),
    ),
    isMap ? map('rules', 'ipv4_addr . inet_proto . inet_service : verdict', 'flags interval;', elements) : '',
    'chain of_workload {',
    ...policy,
    rules.length > 0 ? 'drop' : 'accept',
    '}',
    'chain forward {',
    'type filter hook forward priority filter; policy accept;',
    'ct state established,related accept',
    'ip saddr vmap @workloads',
    '}',
    '}',
    '',
  ].join('\n');
}

export const EMPTY = 'flush ruleset\n';

function line(rule: PolicyRule): string {
  const [address, , ports] = matches(rule);
  return `ip daddr ${address} tcp dport ${ports} accept`;
}

function matches({ dip, dipr = dip, port, portr = 0 }: PolicyRule): [address: string, protocol: string, ports: string] {
  return [dip === dipr ? dip : `${dip}-${dipr}`, 'tcp', portr === 0 || portr === port ? `${port}` : `${port}-${portr}`];
}

function map(name: string, type: string, flags: string, elements: readonly string[]): string {
  return `map ${name} { type ${type}; ${flags} elements = { ${elements.join(', ')} } }`;
}
