// A workload's life from a seed: its policy put in force and changed, names that come and go, connections in between. Pure.
import { ACTIONS, NAMES, pick, type Random, random, respelled, SETS } from '../bpf/rule-sets.ts';
import type { Trial } from '../bpf/trial.ts';
import { trials } from '../bpf/trials.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { type Direction, POLICY_COMMAND, type PolicyCommand } from '../protocol/values.ts';
import { AFTER_ALL, type Kind } from './forms.ts';
import { AT_FIRST, after, type PolicyStep, type Situation, type Step } from './situation.ts';

export type SetName = keyof typeof SETS;

/** What a seed stands for. */
export type Plan = { readonly seed: number; readonly set: SetName; readonly rules: number; readonly changes: number };

/** One command, and the connections to be judged once it is in force. */
export type Round = { readonly step: Step; readonly kind: Kind; readonly trials: readonly Trial[] };

type Size = { readonly rules: readonly [least: number, most: number]; readonly sets: readonly SetName[] };

const ALL = Object.keys(SETS) as SetName[]; // the keys of a const object are its type's
const SMALL: Size = { rules: [1, 9], sets: ['dense'] };
const MEDIUM: Size = { rules: [10, 99], sets: [...ALL, 'dense'] };
/** How often which size comes, out of these: small policies show most for what they cost. */
const SIZES: readonly Size[] = [
  { rules: [0, 0], sets: ['dense'] },
  ...Array.from({ length: 9 }, () => SMALL),
  ...Array.from({ length: 5 }, () => MEDIUM),
  ...Array.from({ length: 4 }, () => ({ rules: [100, 999], sets: ALL }) as const),
  { rules: [1000, 4000], sets: ALL },
];
/** One seed in so many is of the largest size that is promised. */
const LARGEST_EVERY = 50;
const LARGEST = 10_000;
const WHOLE = 3; // START and END
const CHANGES = 12;
const FEWER_CHANGES = 3;
const MANY_RULES = 1000;
const MAX_NAMES_OF_ADDRESS = 4;

export function planOf(seed: number): Plan {
  const r = random(seed);
  if (seed % LARGEST_EVERY === 0)
    return { seed, set: ALL[(seed / LARGEST_EVERY) % ALL.length] ?? 'mixed', rules: LARGEST, changes: FEWER_CHANGES };
  const {
    rules: [least, most],
    sets,
  } = pick(r, SIZES);
  const rules = least + r(most - least + 1);
  return { seed, set: pick(r, sets), rules, changes: rules >= MANY_RULES ? FEWER_CHANGES : CHANGES };
}

/** Connections after each change, which itself takes a grace period of the kernel's: more where more can be wrong. */
const trialsOf = (rules: number): number => 240 + Math.min(260, rules);

/** The same for the same plan. */
export function* roundsOf({ seed, set, rules: count, changes }: Plan): Generator<Round> {
  const r = random(seed ^ 0x5eed);
  const pool = respelled(SETS[set](2 * count + 2, r), r);
  let situation = AT_FIRST;
  const round = ({ step, kind }: Omit<Round, 'trials'>): Round => {
    situation = after(situation, step);
    const near = [
      ...(situation.policy?.rules ?? []),
      ...(step.name === 'ctrl_cfg_policy' ? (step.body.rules ?? []) : []),
    ];
    return { step, kind, trials: trials(near, trialsOf(count), r) };
  };
  yield round(policyStep(POLICY_COMMAND.add, pool.slice(0, count), r));
  for (let n = 0; n < changes; n++)
    yield round(situation.policy ? anyChange(situation, pool, r) : policyStep(POLICY_COMMAND.add, some(pool, r), r));
}

type Change = Omit<Round, 'trials'>;

function policyStep(cmd: PolicyCommand, rules: readonly PolicyRule[], r: Random): Change {
  const directions: readonly Direction[] = [3, 3, 3, 3, 2, 1];
  const body: PolicyStep['body'] = {
    cmd,
    flag: WHOLE,
    defact: pick(r, ACTIONS),
    dir: pick(r, directions),
    mac: [],
    rules: [...rules],
  };
  const kind = ({ 1: 'ADD', 2: 'DEL', 3: 'MOD' } as const)[cmd];
  return {
    step: { name: 'ctrl_cfg_policy', body },
    kind: cmd === POLICY_COMMAND.del && !rules.length ? AFTER_ALL : kind,
  };
}

function some<T>(items: readonly T[], r: Random): T[] {
  return items.filter(() => r(items.length) < 3);
}

function anyChange({ policy, names }: Situation, pool: readonly PolicyRule[], r: Random): Change {
  const rules = policy?.rules ?? [];
  switch (pick(r, ['MOD', 'MOD', 'MOD', 'DEL', 'DEL', 'name', 'name', 'forget', 'end'] as const)) {
    case 'MOD': {
      // Others' bodies under known ids, and ids that were not there; or the header alone.
      const changed =
        r(8) === 0 ? [] : some(pool, r).map((rule) => ({ ...(pool[r(pool.length)] ?? rule), id: rule.id }));
      return policyStep(POLICY_COMMAND.mod, changed, r);
    }
    case 'DEL': {
      const removed = some(rules, r);
      return removed.length > 0 ? policyStep(POLICY_COMMAND.del, removed, r) : nameStep(names, r);
    }
    case 'name':
      return nameStep(names, r);
    case 'forget': {
      const known = [...names.keys()];
      const gone = some(known, r);
      const body = { names: gone.length > 0 ? gone : [known[0] ?? NAMES[0]?.name ?? ''] };
      return { step: { name: 'ctrl_cfg_del_fqdn', body }, kind: 'name deleted' };
    }
    default:
      return r(3) === 0 ? policyStep(POLICY_COMMAND.del, [], r) : policyStep(POLICY_COMMAND.add, some(pool, r), r);
  }
}

/** Other addresses for a name, as many as an address can have names. */
function nameStep(names: Situation['names'], r: Random): Change {
  const counts = Map.groupBy([...names.values()].flat(), (address) => address);
  const room = NAMES.flatMap(({ addresses }) => addresses).filter(
    (address) => (counts.get(address)?.length ?? 0) < MAX_NAMES_OF_ADDRESS,
  );
  const addresses = new Set(Array.from({ length: r(4) }, () => pick(r, room)));
  const body = { fqdn_name: pick(r, NAMES).name, fqdn_ips: [...addresses].filter(Boolean) };
  return { step: { name: 'ctrl_cfg_set_fqdn', body }, kind: 'name set' };
}
