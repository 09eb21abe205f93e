// How a side comes to its verdict, tier by tier. Pure.
import { type PublishedResource, TIER } from '@podwall/controller/api/keyspace.ts';
import { ACTION } from '@podwall/dp/protocol/values.ts';
import type { Decider, Outcome, Side } from './verdict.ts';

export type Step = { readonly tier: string; readonly text: string };

const TIERS: readonly [tier: number, name: PublishedResource['kind']][] = [
  [TIER.clusterNetworkRule, 'ClusterNetworkRule'],
  [TIER.networkRule, 'NetworkRule'],
  [TIER.networkPolicy, 'NetworkPolicy'],
];

/** Ends at the tier that decides, or with the default action. */
export function walkthrough(side: Side): Step[] {
  const { outcomes } = side;
  const [only] = outcomes;
  if (only?.by.kind === 'unpoliced') return [{ tier: 'all', text: `not policed: ${only.by.why}` }];
  if (only?.by.kind === 'node')
    return [{ tier: 'all', text: 'allowed: its own node may always open connections to it' }];
  const steps: Step[] = [];
  for (const [tier, name] of TIERS) {
    const here = outcomes.filter(({ by }) => by.kind === 'rule' && by.resource.tier === tier);
    steps.push({ tier: name, text: tierText(side, tier, here) });
    if (outcomes.at(-1) === here.at(-1)) return steps;
  }
  const last = outcomes.at(-1);
  if (last) steps.push({ tier: 'default', text: defaultText(last) });
  return steps;
}

function tierText({ enforced, direction }: Side, tier: number, outcomes: readonly Outcome[]): string {
  const selecting = (enforced?.resources ?? []).filter((resource) => resource.tier === tier);
  const policing = selecting.filter(({ directions }) => directions.includes(direction));
  if (selecting.length === 0) return 'none selects it';
  if (policing.length === 0) return `${names(selecting)}: nothing for ${direction}`;
  if (outcomes.length > 0) return outcomes.map(ruleText).join('; ');
  const isPolicy = tier === TIER.networkPolicy;
  const verb = policing.length > 1 ? 'isolate' : 'isolates';
  return isPolicy ? `${names(policing)} ${verb} it; no rule allows this` : `${names(policing)}: no rule matches`;
}

const names = (resources: readonly PublishedResource[]): string => resources.map(shortName).join(', ');
export const shortName = ({ namespace, name }: PublishedResource): string =>
  namespace === '' ? name : `${namespace}/${name}`;

function ruleText(outcome: Outcome): string {
  const { by, application } = outcome;
  if (by.kind !== 'rule') return '';
  const text = `${shortName(by.resource)}, rule ${by.rule}: ${actionWords(outcome)}`;
  return application === undefined ? text : `${text}, if it speaks ${application}`;
}

function defaultText(outcome: Outcome): string {
  const { by } = outcome;
  if (by.kind !== 'default') return actionWords(outcome);
  const reason =
    by.isolating.length > 0 ? `isolated by ${by.isolating.map(fullName).join(', ')}` : fullName(by.resource);
  return `${actionWords(outcome)}: ${reason}`;
}

export const fullName = (resource: PublishedResource): string => `${resource.kind} ${shortName(resource)}`;

const ACTION_WORDS = {
  [ACTION.open]: 'allowed',
  [ACTION.deny]: 'denied',
  [ACTION.learn]: 'allowed and reported, to learn from (mode Discover)',
  [ACTION.violate]: 'allowed and reported as a violation (it is not in mode Protect)',
} as const;

export const actionWords = ({ action }: Outcome): string => ACTION_WORDS[action];

/** `NetworkRule shop/checkout: mysql`; undefined where nothing polices the side. */
export function deciderName(by: Decider): string | undefined {
  if (by.kind === 'unpoliced') return undefined;
  if (by.kind === 'node') return '(own node)';
  return `${fullName(by.resource)}: ${by.kind === 'rule' ? by.rule : '(default)'}`;
}
