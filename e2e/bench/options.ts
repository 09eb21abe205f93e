// The bench's command line. Pure.
import { parseArgs } from 'node:util';

export const PARTS = ['traffic', 'program', 'change', 'memory', 'flows'] as const;
export type Part = (typeof PARTS)[number];

export const HELP = `usage: npm run bench -- [options]

Measures Podwall on this machine in network namespaces of its own, beside the same path with no program, with a program
that does nothing, and with nftables. Writes a table in Markdown to stdout, progress to stderr. Needs root.

  --quick          about two minutes: fewer rounds, the largest policies alone, one workload
  --only PART      a part alone (may be given again): ${PARTS.join(', ')}
  --rounds N       interleaved runs of each figure (default 7; with --quick 3)
  --json FILE      writes the figures, every sample of them, as JSON
  --markdown FILE  writes the table to a file in place of stdout
  -h, --help       this text

  traffic  a TCP stream, requests and responses, and connections, by number of rules and workloads
  program  time of the kernel programs per packet and of the search for a rule
  change   from the first datagram of a policy, or of a change of one rule, until it is in force; with a profile of dp
  memory   of a policy in the kernel, and of dp with 100 workloads of 1,000 rules
  flows    memory of the table of flows with 1,000,000 of them

Exit codes: 0 measured, whatever the figures; 1 something failed; 2 wrong usage; 130 stopped by Ctrl-C.
`;

export type Options =
  | { readonly action: 'help' }
  | {
      readonly action: 'run';
      readonly isQuick: boolean;
      readonly parts: readonly Part[];
      readonly rounds: number;
      readonly json: string | undefined;
      readonly markdown: string | undefined;
    };

const ROUNDS = 7;
const QUICK_ROUNDS = 3;

export class UsageError extends Error {
  readonly code = 'Usage';
}

/** Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const { help, quick: isQuick, only, rounds, json, markdown } = parsed(args);
  if (help) return { action: 'help' };
  const count = rounds === undefined ? (isQuick ? QUICK_ROUNDS : ROUNDS) : Number(rounds);
  if (!Number.isInteger(count) || count < 1) throw new UsageError(`--rounds ${rounds}: a whole number from 1 up`);
  const parts = (only ?? PARTS).map(partNamed);
  return { action: 'run', isQuick, parts: PARTS.filter((part) => parts.includes(part)), rounds: count, json, markdown };
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
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        json: { type: 'string' },
        markdown: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
