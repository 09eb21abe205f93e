// What dp is to enforce for a workload, and the changes of it that the soak makes. Pure.
import { command, policyBatches } from '../../agent/dp/batches.ts';
import { rule } from '../../dp/bpf/rules.ts';
import type { ApplicationName } from '../../dp/protocol/applications.ts';
import type { PolicyRule } from '../../dp/protocol/commands.ts';
import { ACTION, DIRECTION, POLICY_COMMAND } from '../../dp/protocol/values.ts';
import { fixedRules, LONG_FLOWS, namedIp, nameOf } from './flows.ts';
import type { Verdict } from './probe.ts';
import type { Random } from './random.ts';

export type Wanted = {
  readonly workload: number;
  readonly mac: string;
  readonly probe: Verdict;
  readonly hasName: boolean;
  /** Beyond the fixed ones, by id: none of them changes a verdict on the soak's flows. */
  readonly others: ReadonlyMap<number, PolicyRule>;
};

export const CHANGES = [
  'replace',
  'modify',
  'remove',
  'turn',
  'turnByReplacing',
  'rename',
  'tell',
  'overtake',
] as const;
export type ChangeName = (typeof CHANGES)[number];

/** `policies`: how many POLICY_REALIZED dp answers with. */
export type Change = { readonly wanted: Wanted; readonly datagrams: readonly Buffer[]; readonly policies: 0 | 1 };

/** Below all fixed rules go those that come first, above them those that come last. */
const FIRST_IDS = 100;
const OVERTAKING_ID = 500;
const APPLICATION_ID = 900;
const LAST_IDS = 2000;
const IDS = 100;
const MOST_REPLACED = 60;
const MOST_MODIFIED = 5;
const ADDRESSES = 50;
const PORTS = 40_000;
/** START and END: one batch. */
const WHOLE = 3;
/** None is what the soak's flows speak, so that a rule for them leaves these flows alone. */
const SPOKEN: readonly ApplicationName[] = ['HTTP', 'Redis', 'SSH', 'MySQL', 'Telnet'];

export const initially = (workload: number, mac: string): Wanted => ({
  workload,
  mac,
  probe: 'open',
  hasName: true,
  others: new Map(),
});

const rulesOf = ({ workload, probe, others }: Wanted): PolicyRule[] => [
  ...others.values(),
  ...fixedRules(workload, probe),
];

export const wholePolicy = (wanted: Wanted): Buffer[] =>
  policyBatches({
    wl_id: nameOf(wanted.workload),
    mode: 'protect',
    defact: ACTION.deny,
    apply_dir: DIRECTION.both,
    mac: [wanted.mac],
    policy_rules: rulesOf(wanted),
  });

export const nameCommand = ({ workload, hasName }: Wanted): Buffer =>
  hasName
    ? command('ctrl_cfg_set_fqdn', { fqdn_name: nameOf(workload), fqdn_ips: [namedIp(workload)] })
    : command('ctrl_cfg_del_fqdn', { names: [nameOf(workload)] });

/** A change of this kind, chosen at random. */
export function change(name: ChangeName, wanted: Wanted, random: Random): Change {
  switch (name) {
    case 'replace':
      return replaced({ ...wanted, others: randomRules(random, random.below(MOST_REPLACED)) });
    case 'modify':
      return modified(wanted, [...randomRules(random, 1 + random.below(MOST_MODIFIED)).values()]);
    case 'remove':
      return removed(wanted, random);
    case 'turn': {
      const turned = { ...wanted, probe: opposite(wanted.probe) };
      const probe = fixedRules(wanted.workload, turned.probe).filter(({ id }) => id === LONG_FLOWS.probe.rule);
      return { wanted: turned, datagrams: [policyCommand(turned, POLICY_COMMAND.mod, probe)], policies: 1 };
    }
    case 'turnByReplacing':
      return replaced({ ...wanted, probe: opposite(wanted.probe) });
    case 'rename': {
      const after = { ...wanted, hasName: !wanted.hasName };
      return { wanted: after, datagrams: [nameCommand(after)], policies: 0 };
    }
    case 'tell':
      return toggled(wanted, [forApplication(random)]);
    case 'overtake':
      return toggled(wanted, OVERTAKING);
  }
}

const opposite = (verdict: Verdict): Verdict => (verdict === 'open' ? 'denied' : 'open');

const replaced = (wanted: Wanted): Change => ({ wanted, datagrams: wholePolicy(wanted), policies: 1 });

function modified(wanted: Wanted, rules: readonly PolicyRule[]): Change {
  const others = new Map([...wanted.others, ...rules.map((one): [number, PolicyRule] => [one.id, one])]);
  return { wanted: { ...wanted, others }, datagrams: [policyCommand(wanted, POLICY_COMMAND.mod, rules)], policies: 1 };
}

function removed(wanted: Wanted, random: Random): Change {
  if (wanted.others.size === 0) return change('modify', wanted, random);
  const gone = [...wanted.others.values()].filter((_, i) => i === 0 || random.below(2) === 0);
  const ids = new Set(gone.map(({ id }) => id));
  const others = new Map([...wanted.others].filter(([id]) => !ids.has(id)));
  return { wanted: { ...wanted, others }, datagrams: [policyCommand(wanted, POLICY_COMMAND.del, gone)], policies: 1 };
}

/** Takes these rules away where they are there, and puts them in where not. */
function toggled(wanted: Wanted, rules: readonly PolicyRule[]): Change {
  const present = rules.flatMap(({ id }) => wanted.others.get(id) ?? []);
  if (present.length === 0) return modified(wanted, rules);
  const ids = new Set(present.map(({ id }) => id));
  const others = new Map([...wanted.others].filter(([id]) => !ids.has(id)));
  return {
    wanted: { ...wanted, others },
    datagrams: [policyCommand(wanted, POLICY_COMMAND.del, present)],
    policies: 1,
  };
}

const policyCommand = ({ mac }: Wanted, cmd: 2 | 3, rules: readonly PolicyRule[]): Buffer =>
  command('ctrl_cfg_policy', {
    cmd,
    flag: WHOLE,
    defact: ACTION.deny,
    dir: DIRECTION.both,
    mac: [mac],
    rules: [...rules],
  });

/** Allow what is allowed anyway, but go first. Not the named flow: decided by a rule without a name, it would lose its own. */
const OVERTAKING: readonly PolicyRule[] = [
  rule({ id: OVERTAKING_ID, ports: `udp/${LONG_FLOWS.steady.peerPort}` }),
  rule({ id: OVERTAKING_ID + 1, direction: 'ingress', ports: `udp/${LONG_FLOWS.inbound.workloadPort}` }),
];

/** Of every port and peer, before all others: each flow must show that it does not speak this. */
const forApplication = (random: Random): PolicyRule =>
  rule({ id: APPLICATION_ID, apps: { [random.oneOf(SPOKEN)]: random.oneOf([ACTION.deny, ACTION.open]) } });

function randomRules(random: Random, count: number): Map<number, PolicyRule> {
  const rules = Array.from({ length: count }, () => randomRule(random));
  return new Map(rules.map((one) => [one.id, one]));
}

/** Of peers that the soak does not have, in the networks for documentation of RFC 5737. */
function randomRule(random: Random): PolicyRule {
  const first = random.below(ADDRESSES);
  const port = 1 + random.below(PORTS);
  const hasApplication = random.below(4) === 0;
  return rule({
    id: random.oneOf([FIRST_IDS, LAST_IDS]) + random.below(IDS),
    direction: random.oneOf(['egress', 'ingress']),
    peer: `203.0.113.${first}-203.0.113.${first + random.below(ADDRESSES)}`,
    ports: `${random.oneOf(['tcp', 'udp'])}/${port}-${port + random.below(100)}`,
    action: random.oneOf([ACTION.open, ACTION.deny, ACTION.violate]),
    ...(hasApplication && { apps: { [random.oneOf(SPOKEN)]: random.oneOf([ACTION.deny, ACTION.open]) } }),
  });
}
