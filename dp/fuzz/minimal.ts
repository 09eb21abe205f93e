// The least of a case that still shows the difference, by fast-check: fewest commands, fewest rules, plainest values. Pure.
import fc from 'fast-check';
import { OWN } from '../bpf/rule-sets.ts';
import type { Trial } from '../bpf/trial.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, POLICY_COMMAND } from '../protocol/values.ts';
import type { Case } from './case.ts';
import { AT_FIRST, after, namesBetween, type PolicyStep, type Step } from './situation.ts';

/** Past this, the least so far is good enough. */
const SHRINK_MS = 60_000;
const WHOLE = 3;

/** `differs` puts a case to both sides afresh; it is asked some hundred times. The case itself, where it does not differ again. */
export function minimalCase(found: Case, differs: (candidate: Case) => boolean): Case {
  let least = found;
  for (const shrink of [atOnce, fewestSteps, fewestRules, plainest]) {
    const next = shrink(least, differs);
    if (next) least = next;
  }
  return least;
}

type Shrink = (found: Case, differs: (candidate: Case) => boolean) => Case | undefined;

/** The policy in one command in place of all that led to it: most differences need no history. */
const atOnce: Shrink = ({ before, meanwhile, trial }, differs) => {
  const { policy, names } = [...before, ...meanwhile].reduce(after, AT_FIRST);
  if (!policy) return undefined;
  const { defaultAction: defact, directions: dir, rules } = policy;
  const body: PolicyStep['body'] = { cmd: POLICY_COMMAND.add, flag: WHOLE, defact, dir, mac: [], rules: [...rules] };
  const steps: Step[] = [...namesBetween(AT_FIRST.names, names), { name: 'ctrl_cfg_policy', body }];
  const whole = { before: steps, meanwhile: [], trial };
  return differs(whole) ? whole : undefined;
};

const fewestSteps: Shrink = (found, differs) => {
  const { before, meanwhile, trial } = found;
  return least<readonly [readonly Step[], readonly Step[]]>(
    fc.tuple(anyOf(before), anyOf(meanwhile)),
    [before, meanwhile],
    ([first, then]) => ({ before: first, meanwhile: then, trial }),
    // With nothing between, it would be another question: of the opening, not of the next packet.
    (candidate) => candidate.meanwhile.length > 0 === meanwhile.length > 0 && differs(candidate),
  );
};

const fewestRules: Shrink = (found, differs) => {
  const lists = [...found.before, ...found.meanwhile].map(rulesOf);
  return least<readonly (readonly PolicyRule[])[]>(
    fc.tuple(...lists.map(anyOf)),
    lists,
    (rules) => withRules(found, rules),
    differs,
  );
};

/** Parts of a rule or of a trial, each in one of its forms. */
type Parts = readonly object[];

const plainest: Shrink = (found, differs) => {
  const ids = [...found.before, ...found.meanwhile].map((step) => rulesOf(step).map(({ id }) => id));
  const rules = [...found.before, ...found.meanwhile].map((step) => rulesOf(step).map(formsOfRule));
  const trial = formsOfTrial(found.trial);
  const anyParts = (forms: readonly Parts[]): fc.Arbitrary<Parts> =>
    fc.tuple(...forms.map((options) => fc.constantFrom(...options)));
  const asIs = (forms: readonly Parts[]): Parts => forms.flatMap((options) => options.at(-1) ?? []);
  return least<readonly [Parts, readonly (readonly Parts[])[]]>(
    fc.tuple(anyParts(trial), fc.tuple(...rules.map((list) => fc.tuple(...list.map(anyParts))))),
    [asIs(trial), rules.map((list) => list.map(asIs))],
    ([ofTrial, ofRules]) => ({
      ...withRules(
        found,
        ofRules.map((list, i) => list.map((parts, j) => Object.assign({ id: ids[i]?.[j] }, ...parts))),
      ),
      trial: Object.assign({}, ...ofTrial),
    }),
    differs,
  );
};

/** Each in two forms: the plainest, and as it is. */
function formsOfRule({ id: _, ...rule }: PolicyRule): readonly (readonly object[])[] {
  const { sip, sipr = sip, dip, dipr = dip, proto, port, portr, action, ingress, fqdn, vhost, apps } = rule;
  const every = sip.includes(':') ? EVERY[6] : EVERY[4];
  const source = { sip: every.first, sipr: every.last };
  const destination = { dip: every.first, dipr: every.last };
  return [
    fqdn ? [{ dip, dipr, fqdn }] : [destination, { dip, dipr }],
    [source, { sip, sipr }],
    [
      { proto: 0, port: 0, portr: 0xffff },
      { proto, port, ...(portr === undefined ? {} : { portr }) },
    ],
    [{ ingress, ...(vhost === undefined ? {} : { vhost }) }],
    [{ action: ACTION.open }, { action }],
    [{}, ...(apps ? [{ apps }] : [])],
  ];
}

const EVERY = {
  4: { first: '0.0.0.0', last: '255.255.255.255' },
  6: { first: '::', last: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' },
} as const;

function formsOfTrial({ says, carries, local, ...rest }: Trial): readonly (readonly object[])[] {
  const own = OWN[local.includes(':') ? 6 : 4][0];
  return [[rest], [{ says: [] }, { says }], [{}, ...(carries ? [{ carries }] : [])], [{ local: own }, { local }]];
}

const rulesOf = (step: Step): readonly PolicyRule[] => (step.name === 'ctrl_cfg_policy' ? (step.body.rules ?? []) : []);

function withRules({ before, meanwhile, trial }: Case, lists: readonly (readonly PolicyRule[])[]): Case {
  const put = (step: Step, rules: readonly PolicyRule[] = []): Step =>
    step.name === 'ctrl_cfg_policy' ? { ...step, body: { ...step.body, rules: [...rules] } } : step;
  return {
    before: before.map((step, i) => put(step, lists[i])),
    meanwhile: meanwhile.map((step, i) => put(step, lists[before.length + i])),
    trial,
  };
}

/** Any list of some of these; its own shrinking leaves elements out. */
const anyOf = <T>(items: readonly T[]): fc.Arbitrary<readonly T[]> =>
  items.length === 0
    ? fc.constant(items)
    : fc.array(fc.constantFrom(...items), { maxLength: items.length, size: 'max' });

/** Shrinks a value that is there, rather than one that fast-check has made. */
function least<T>(
  arbitrary: fc.Arbitrary<T>,
  found: T,
  asCase: (value: T) => Case,
  differs: (candidate: Case) => boolean,
): Case | undefined {
  const property: fc.IProperty<[T]> = fc.property(arbitrary, (value) => !differs(asCase(value)));
  const options = { numRuns: 1, interruptAfterTimeLimit: SHRINK_MS };
  const { counterexample }: fc.RunDetails<[T]> = fc.check(property, { ...options, examples: [[found]] });
  return counterexample ? asCase(counterexample[0]) : undefined;
}
