// The soak's command line. Pure.
import { parseArgs } from 'node:util';

/** What a lab's subnet has room for. */
const MOST_WORKLOADS = 200;

export const HELP = `usage: npm run soak -- [options]

Real traffic on many workloads, in network namespaces of their own, while policies change 20 times a second and dp is
killed by SIGKILL again and again. Checks that no allowed packet is lost, no denied one passes, and every counter goes
on. Writes a table in Markdown to stdout, progress to stderr. Needs root.

  --minutes N      how long (default 10; parts of a minute may be told)
  --workloads N    how many (default 100; at most ${MOST_WORKLOADS})
  --kills N        of dp, spread over the run (default 5 a minute)
  --seed N         of the changes (default: another one each time; the table has it)
  --storm          instead: 1,000,000 denied new flows, 100,000 a second, and what dp makes of their reports
  --json FILE      writes what was seen as JSON too
  -h, --help       this text

Exit codes: 0 every check holds; 1 one does not, or something failed; 2 wrong usage; 130 stopped by Ctrl-C.
`;

export type Options =
  | { readonly action: 'help' }
  | {
      readonly action: 'run';
      /** A storm of reports in place of the soak. */
      readonly isStorm: boolean;
      readonly seconds: number;
      readonly workloads: number;
      readonly kills: number;
      readonly seed: number;
      readonly json: string | undefined;
    };

const MINUTES = 10;
const WORKLOADS = 100;
const KILLS_A_MINUTE = 5;
const SECONDS_A_MINUTE = 60;
/** Less, and dp would not be back before it is killed again. */
const LEAST_SECONDS_A_KILL = 3;
const MAX_SEED = 0xffffffff;

export class UsageError extends Error {
  readonly code = 'Usage';
}

/** `seed`: where none is told. Throws UsageError. */
export function parseOptions(args: readonly string[], seed: number): Options {
  const told = parsed(args);
  if (told.help) return { action: 'help' };
  const minutes = numberOf('minutes', told.minutes, MINUTES);
  if (!(minutes > 0)) throw new UsageError(`--minutes ${told.minutes}: a number above 0`);
  const seconds = minutes * SECONDS_A_MINUTE;
  const kills = wholeOf(
    'kills',
    told.kills,
    Math.max(1, Math.round(minutes * KILLS_A_MINUTE)),
    0,
    Number.MAX_SAFE_INTEGER,
  );
  const most = Math.floor(seconds / LEAST_SECONDS_A_KILL);
  if (kills > Math.max(1, most))
    throw new UsageError(`--kills ${kills}: at most ${most} in ${seconds} s, since dp must be back before the next`);
  return {
    action: 'run',
    isStorm: told.storm,
    seconds,
    workloads: wholeOf('workloads', told.workloads, WORKLOADS, 1, MOST_WORKLOADS),
    kills,
    seed: wholeOf('seed', told.seed, seed, 0, MAX_SEED),
    json: told.json,
  };
}

function wholeOf(name: string, text: string | undefined, otherwise: number, least: number, most: number): number {
  const value = numberOf(name, text, otherwise);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const upTo = most === Number.MAX_SAFE_INTEGER ? 'up' : `to ${most}`;
  throw new UsageError(`--${name} ${text}: a whole number from ${least} ${upTo}`);
}

function numberOf(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`--${name} ${text}: not a number`);
  return value;
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string' },
        workloads: { type: 'string' },
        kills: { type: 'string' },
        seed: { type: 'string' },
        storm: { type: 'boolean', default: false },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
