// The demo's command line.
import { parseArgs } from 'node:util';

export const HELP = `usage: npm run demo -- [--json] [--keep]
       npm run demo -- --stop ID

Shows Podwall at work: real servers and clients in network namespaces of their own, first without a rule, then with
one that allows MySQL and HTTPS to api.github.com and denies everything else. Needs root.

  --json      the result as one JSON object, the last line of the output; progress goes to stderr
  --keep      leave everything running at the end, and say how to enter and stop it
  --stop ID   remove what --keep has left
  -h, --help  this text

Exit codes: 0 all scenarios held, 1 one did not or something failed, 2 wrong usage, 130 stopped by Ctrl-C.
`;

export type Options =
  | { readonly action: 'help' }
  | { readonly action: 'stop'; readonly id: string }
  | { readonly action: 'run'; readonly isJson: boolean; readonly keepsRunning: boolean };

export class UsageError extends Error {
  readonly code = 'Usage';
}

/** Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  const { json, keep, stop, help } = parsed(args);
  if (help) return { action: 'help' };
  if (stop === undefined) return { action: 'run', isJson: json, keepsRunning: keep };
  if (json || keep) throw new UsageError('--stop goes with no other option');
  return { action: 'stop', id: stop };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        stop: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
