// Computes a workload's policy for dp from the resources that select it. Pure: the same in gives the same out.
import {
  DEFAULT_RULE,
  type NamedPorts,
  type PublishedResource,
  type PublishedRule,
} from '@podwall/controller/api/keyspace.ts';
import { APPLICATION } from '@podwall/dp/protocol/applications.ts';
import type { DPWorkloadIPPolicy, PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { ACTION, type Action, DIRECTION, type Direction } from '@podwall/dp/protocol/values.ts';
import { defaultAction, ruleAction } from './actions.ts';
import { type Match, type MatchContext, matchesOf } from './matches.ts';
import type { Groups } from './peer.ts';
import { ANY_PORT } from './ports.ts';
import { EVERY_ADDRESS, formatAddress, isGlobalIpv6, parseRange } from './ranges.ts';

/** Lower ids are the system's own: no resource has them. */
export const FIRST_RULE_ID = 1001;
const FIRST_SYSTEM_ID = 1;

type Application = (typeof APPLICATION)[keyof typeof APPLICATION];

export type WorkloadIdentity = {
  readonly id: string;
  readonly mac: string;
  readonly ips: readonly string[];
  readonly ports: NamedPorts;
  /** Of its own node, which may always open connections to it: kubelet's probes come from there. */
  readonly nodeIps: readonly string[];
};

/** The rule of a resource that a rule id stands for. */
export type RuleName = { readonly uid: string; readonly rule: string };

export type ComputedPolicy = {
  /** Absent: no resource selects the workload, and dp is to treat its traffic as if it had never been policed. */
  readonly policy?: DPWorkloadIPPolicy;
  /** Nothing is dropped whatever happens: no selecting resource is in Protect. */
  readonly tap: boolean;
  readonly ruleNames: ReadonlyMap<number, RuleName>;
  /** The resource whose default action a direction has; absent for a direction that is not policed. */
  readonly defaultOf: { readonly egress?: string; readonly ingress?: string };
  /** Resource uid → generation that this policy realises. */
  readonly generations: Readonly<Record<string, number>>;
  /** The names that rules are for, each once. */
  readonly fqdns: readonly string[];
  /** What could not be realised and is left out, in words. */
  readonly problems: readonly string[];
};

/** `resources` are those that select the workload, in the order in which they decide. */
export function computePolicy(
  workload: WorkloadIdentity,
  resources: readonly PublishedResource[],
  groups: Groups,
): ComputedPolicy {
  const building = new PolicyRules({
    groups,
    ports: workload.ports,
    hasGlobalIpv6: workload.ips.some(isGlobalIpv6),
  });
  const egress = defaultOf('egress', resources);
  const ingress = defaultOf('ingress', resources);
  if (ingress) building.addNode(workload.nodeIps);
  for (const resource of resources) for (const rule of resource.rules) building.add(resource, rule);
  // dp has one default action and counts it once: where the two directions' differ, ingress gets rules that match all.
  if (egress && ingress && egress !== ingress) building.addIngressDefault(ingress);
  const ofDefault = egress ?? ingress;
  return {
    ...(ofDefault && {
      policy: {
        wl_id: workload.id,
        mode: strictestMode(resources),
        defact: defaultAction(ofDefault),
        apply_dir: directionOf(Boolean(egress), Boolean(ingress)),
        mac: [workload.mac],
        policy_rules: building.rules,
      },
    }),
    tap: ofDefault !== undefined && !resources.some(({ mode }) => mode === 'Protect'),
    ruleNames: building.ruleNames,
    defaultOf: { ...(egress && { egress: egress.uid }), ...(ingress && { ingress: ingress.uid }) },
    generations: Object.fromEntries(resources.map(({ uid, generation }) => [uid, generation])),
    fqdns: [...building.fqdns],
    problems: [...building.problems],
  };
}

/**
 * The resource whose default action a direction has: the first that polices it. What a NetworkPolicy isolates is denied
 * where no policy allows it, and is no other's to allow: the first that denies then has it.
 */
function defaultOf(
  direction: PublishedRule['direction'],
  resources: readonly PublishedResource[],
): PublishedResource | undefined {
  const policing = resources.filter(({ directions }) => directions.includes(direction));
  const isIsolated = policing.some(({ kind }) => kind === 'NetworkPolicy');
  return isIsolated ? policing.find((resource) => defaultAction(resource) === ACTION.deny) : policing[0];
}

class PolicyRules {
  readonly rules: PolicyRule[] = [];
  readonly ruleNames = new Map<number, RuleName>();
  readonly fqdns = new Set<string>();
  /** Each once: a rule with several peers comes as several. */
  readonly problems = new Set<string>();
  readonly #context: MatchContext;

  constructor(context: MatchContext) {
    this.#context = context;
  }

  add(resource: PublishedResource, rule: PublishedRule): void {
    const where = `${resource.kind} ${[resource.namespace, resource.name].filter(Boolean).join('/')}, rule ${rule.name}`;
    try {
      if (rule.vhost) throw new RangeError(vhostProblem(rule));
      const { matches, problems } = matchesOf(rule, this.#context);
      const applications = rule.applications.map(applicationNumber);
      const action = ruleAction(resource, rule.action);
      for (const match of matches)
        this.#push(match, rule.direction, action, applications, { uid: resource.uid, rule: rule.name });
      // Upstream, a name that a pod lacks is no fault: there the rule has no port.
      if (resource.kind !== 'NetworkPolicy') for (const problem of problems) this.problems.add(`${where}: ${problem}`);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.problems.add(`${where} is left out: ${error.message}`);
    }
  }

  /** Before any other rule is added. */
  addNode(ips: readonly string[]): void {
    for (const [i, ip] of ips.entries()) {
      const source = parseRange(ip);
      const match = { source, destination: EVERY_ADDRESS[source.family], port: ANY_PORT };
      this.rules.push(policyRule(FIRST_SYSTEM_ID + i, match, 'ingress', ACTION.open, []));
    }
  }

  addIngressDefault(resource: PublishedResource): void {
    const name = { uid: resource.uid, rule: DEFAULT_RULE };
    for (const every of Object.values(EVERY_ADDRESS)) {
      const match = { source: every, destination: every, port: ANY_PORT };
      this.#push(match, 'ingress', defaultAction(resource), [], name);
    }
  }

  #push(
    match: Match,
    direction: PublishedRule['direction'],
    action: Action,
    applications: readonly Application[],
    name: RuleName,
  ): void {
    const id = FIRST_RULE_ID + this.ruleNames.size;
    if (match.fqdn !== undefined) this.fqdns.add(match.fqdn);
    this.ruleNames.set(id, name);
    this.rules.push(policyRule(id, match, direction, action, applications));
  }
}

function policyRule(
  id: number,
  { source, destination, port, fqdn }: Match,
  direction: PublishedRule['direction'],
  action: Action,
  applications: readonly Application[],
): PolicyRule {
  return {
    id,
    sip: formatAddress(source.family, source.first),
    dip: formatAddress(destination.family, destination.first),
    sipr: formatAddress(source.family, source.last),
    // With a name, 0.0.0.0 alone (or ::) is any address that the name has.
    dipr: formatAddress(destination.family, fqdn === undefined ? destination.last : destination.first),
    port: port.port,
    portr: port.portr,
    proto: port.proto,
    action,
    ingress: direction === 'ingress',
    ...(fqdn !== undefined && { fqdn }),
    ...(applications.length > 0 && { apps: applications.map((app) => ({ rid: id, app, action })) }),
  };
}

function vhostProblem({ action }: PublishedRule): string {
  const problem = 'matching by the name that the client asks for (vhost) is not supported yet';
  return action === 'deny' ? `${problem}; what it denies is not enforced` : problem;
}

function applicationNumber(name: string): Application {
  for (const [known, number] of Object.entries(APPLICATION)) if (known === name) return number;
  throw new RangeError(`no application is called ${name}`);
}

function strictestMode(resources: readonly PublishedResource[]): DPWorkloadIPPolicy['mode'] {
  const modes = new Set(resources.map(({ mode }) => mode));
  if (modes.has('Protect')) return 'protect';
  return modes.has('Monitor') ? 'monitor' : 'discover';
}

function directionOf(hasEgress: boolean, hasIngress: boolean): Direction {
  if (hasEgress && hasIngress) return DIRECTION.both;
  return hasIngress ? DIRECTION.ingress : DIRECTION.egress;
}
