// The fuzzer's command line. Pure.
import { parseArgs } from 'node:util';

export const PARTS = ['verdicts', 'frames', 'datagrams'] as const;
export type Part = (typeof PARTS)[number];

export const HELP = `usage: npm run fuzz -- [options]

Tries to find what tests did not: compares the kernel programs with a plain loop over the rules, over random policies and
packets; puts random frames to a workload that may do nothing; sends random datagrams to dp. Works in network namespaces
and kernel tables of its own. Progress goes to stderr, the summary to stdout. Needs root.

  --minutes N   how long in all (default 1; parts of a minute are allowed)
  --only PART   a part alone (may be given again): ${PARTS.join(', ')}
  --seed N      the first seed, as a difference names it (default: by the clock)
  --json        the summary as JSON
  -h, --help    this text

  verdicts   lives of policies: 0 to 10,000 rules put in force and changed, names that come and go; verdict, action and
             deciding rule of every packet, and the hits of every rule
  frames     whole and damaged frames under a policy that allows nothing: only address resolution passes
  datagrams  commands that are right, nearly right or nothing of the kind: dp goes on, answers or counts each wrong one,
             does not grow, and what was in force is in force

Exit codes: 0 nothing found; 1 a difference was found, or something failed; 2 wrong usage; 130 stopped by Ctrl-C, after
the summary so far.
`;

export type Options =
  | { readonly action: 'help' }
  | {
      readonly action: 'run';
      readonly minutes: number;
      readonly parts: readonly Part[];
      readonly seed: number;
      readonly isJson: boolean;
    };

const MAX_MINUTES = 7 * 24 * 60;
const MAX_SEED = 2 ** 31 - 1;

export class UsageError extends Error {
  readonly code = 'Usage';
}

/** `seed`: the one to take where none is given. Throws UsageError. */
export function parseOptions(args: readonly string[], seed: number): Options {
  const said = parsed(args);
  if (said.help) return { action: 'help' };
  const parts = (said.only ?? PARTS).map(partNamed);
  return {
    action: 'run',
    minutes: numberOf('--minutes', said.minutes ?? '1', MAX_MINUTES),
    parts: PARTS.filter((part) => parts.includes(part)),
    seed: said.seed === undefined ? 1 + (seed % MAX_SEED) : seedOf(said.seed),
    isJson: said.json,
  };
}

function numberOf(option: string, text: string, most: number): number {
  const number = Number(text);
  if (text.trim() !== '' && number > 0 && number <= most) return number;
  throw new UsageError(`${option} ${text}: a number above 0, up to ${most}`);
}

function seedOf(text: string): number {
  const seed = numberOf('--seed', text, MAX_SEED);
  if (Number.isInteger(seed)) return seed;
  throw new UsageError(`--seed ${text}: a whole number from 1 to ${MAX_SEED}`);
}

function partNamed(name: string): Part {
  const part = PARTS.find((one) => one === name);
  if (part === undefined) throw new UsageError(`--only ${name}: parts are ${PARTS.join(', ')}`);
  return part;
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string' },
        only: { type: 'string', multiple: true },
        seed: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
