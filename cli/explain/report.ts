// A verdict with its reasons, as a text for people and as JSON for programs. Pure.
import { closestRule, type NearMiss } from './closest.ts';
import type { Cluster } from './cluster.ts';
import type { Endpoint } from './question.ts';
import {
  deniedApplications,
  isAllowed,
  neededApplications,
  neededByBoth,
  passes,
  passesBoth,
  type Side,
  type Verdict,
} from './verdict.ts';
import { actionWords, deciderName, fullName, type Step, walkthrough } from './walkthrough.ts';
import { endpointWords, serviceWords } from './words.ts';

export type VerdictName = 'allowed' | 'blocked';

export type SideReport = {
  readonly workload: string;
  readonly verdict: VerdictName;
  /** Present where one of these must be spoken to pass. */
  readonly onlyIf?: readonly string[];
  /** Present where none of these may be spoken. */
  readonly unless?: readonly string[];
  readonly decidedBy: readonly {
    readonly application?: string;
    readonly verdict: VerdictName;
    /** In words, also of modes other than Protect. */
    readonly action: string;
    /** `NetworkRule shop/checkout: mysql`; null where nothing polices it. */
    readonly rule: string | null;
  }[];
  /** Of a default denial. */
  readonly isolatedBy: readonly string[];
  readonly tiers: readonly Step[];
  readonly closest?: { readonly rule: string; readonly mismatches: NearMiss['mismatches'] };
  /** What of the workload's rules could not be realised, in words. */
  readonly problems: readonly string[];
};

export type Report = {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly verdict: VerdictName;
  readonly onlyIf?: readonly string[];
  readonly unless?: readonly string[];
  readonly egress: SideReport;
  readonly ingress: SideReport;
  /** What the answer rests on, in words. */
  readonly notes: readonly string[];
};

export function reportOf(verdict: Verdict, cluster: Cluster): Report {
  const { question, egress, ingress } = verdict;
  const needed = neededByBoth(verdict);
  const denied = [...new Set([...deniedApplications(egress), ...deniedApplications(ingress)])];
  const isPassing = passesBoth(verdict);
  return {
    from: question.from.name,
    to: question.to.name,
    port: serviceWords(question.service),
    verdict: isPassing ? 'allowed' : 'blocked',
    ...(isPassing && needed ? { onlyIf: needed } : {}),
    ...(isPassing && !needed && denied.length > 0 ? { unless: denied } : {}),
    egress: sideReport(egress, verdict, cluster),
    ingress: sideReport(ingress, verdict, cluster),
    notes: [question.from, question.to].flatMap((endpoint) => note(endpoint, cluster)),
  };
}

function sideReport(side: Side, verdict: Verdict, cluster: Cluster): SideReport {
  const last = side.outcomes.at(-1);
  const isDeniedByDefault = last !== undefined && !passes(last) && last.by.kind === 'default';
  const isolating = isDeniedByDefault && last.by.kind === 'default' ? last.by.isolating : [];
  const closest = isDeniedByDefault && side.outcomes.length === 1 ? closestRule(side, verdict, cluster) : undefined;
  const [needed, denied] = [neededApplications(side), deniedApplications(side)];
  return {
    workload: side.endpoint.name,
    verdict: isAllowed(side) ? 'allowed' : 'blocked',
    ...(needed ? { onlyIf: needed } : {}),
    ...(denied.length > 0 ? { unless: denied } : {}),
    decidedBy: side.outcomes.map((outcome) => ({
      ...(outcome.application === undefined ? {} : { application: outcome.application }),
      verdict: passes(outcome) ? 'allowed' : 'blocked',
      action: actionWords(outcome),
      rule: deciderName(outcome.by) ?? null,
    })),
    isolatedBy: isolating.map(fullName),
    tiers: walkthrough(side),
    ...(closest
      ? { closest: { rule: `${fullName(closest.resource)}: ${closest.rule}`, mismatches: closest.mismatches } }
      : {}),
    problems: side.enforced?.computed.problems ?? [],
  };
}

function note(endpoint: Endpoint, cluster: Cluster): string[] {
  if (endpoint.kind === 'fqdn' && endpoint.address === undefined)
    return [
      `no address of ${endpoint.name} is known here: rules for addresses were tried with one that stands in (${endpoint.name}=ADDRESS names one)`,
    ];
  if (endpoint.kind !== 'pod' || !cluster.standIns.has(endpoint.name)) return [];
  return [
    `${endpoint.name} has no address yet: ${endpoint.pod.ips.join()} stands in for it where a rule has addresses`,
  ];
}

const TIER_WIDTH = 20;

export function formatReport(report: Report, verdict: Verdict, cluster: Cluster): string {
  const { question } = verdict;
  const head = `${report.from} → ${report.to}, ${report.port}: ${verdictText(report)}`;
  return [
    head,
    `  from  ${endpointWords(question.from, cluster)}`,
    `  to    ${endpointWords(question.to, cluster)}`,
    '',
    ...sideLines('Egress', report.egress),
    '',
    ...sideLines('Ingress', report.ingress),
    ...(report.notes.length > 0 ? ['', ...report.notes.map((text) => `Note: ${text}.`)] : []),
    '',
  ].join('\n');
}

function verdictText({ verdict, onlyIf, unless }: Pick<Report, 'verdict' | 'onlyIf' | 'unless'>): string {
  if (onlyIf) return `${verdict}, only if it speaks ${onlyIf.join(' or ')}`;
  return unless ? `${verdict}, unless it speaks ${unless.join(' or ')}` : verdict;
}

function sideLines(title: string, side: SideReport): string[] {
  const { tiers, closest, problems } = side;
  const line = (head: string, text: string): string => `  ${head.padEnd(TIER_WIDTH)}${text}`;
  const [first, ...more] = closest?.mismatches ?? [];
  return [
    `${title} of ${side.workload}: ${verdictText(side)}`,
    ...tiers.map(({ tier, text }) => line(tier === 'all' ? '' : tier, text).replace(/^ +/, '  ')),
    ...(closest && first ? [line('closest rule', closest.rule), line('', `${first.field}: ${first.message}`)] : []),
    ...more.map(({ field, message }) => line('', `${field}: ${message}`)),
    ...problems.map((problem) => line('not realised', problem)),
  ];
}
