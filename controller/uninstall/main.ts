#!/usr/bin/env node
// podwall-uninstall: takes what is in force off every node, before the chart's resources go. In the DaemonSet's place it
// has every node run `dp --detach`, which ends the programs and removes their pins.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ApiError, ApiServer } from '../kubernetes/api-server.ts';
import { type DaemonSet, isDone, remaining, takingOff } from './take-off.ts';

const HELP = `Usage: podwall-uninstall --daemonset NAMESPACE/NAME [--timeout SECONDS]

Run in a pod whose service account may get and patch that DaemonSet. Ends once every node has answered; after the
timeout (120 unless told) it says how many have not, which are those that are down: a node that starts anew has nothing
in force. Exit code: 0 done or timed out, 1 failed, 2 wrong usage.
`;
const EXIT = { done: 0, failed: 1, usage: 2 } as const;
const POLL_MS = 500;

class UsageError extends Error {
  readonly code = 'USAGE';
}

type Options = { readonly namespace: string; readonly name: string; readonly timeoutMs: number };

function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      daemonset: { type: 'string' },
      timeout: { type: 'string', default: '120' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return undefined;
  const [namespace, name, ...more] = values.daemonset?.split('/') ?? [];
  if (!namespace || !name || more.length > 0) throw new UsageError('--daemonset is missing: give NAMESPACE/NAME');
  const seconds = Number(values.timeout);
  if (!(seconds > 0 && seconds <= 3600)) throw new UsageError(`--timeout ${values.timeout}: give 1 to 3600 seconds`);
  return { namespace, name, timeoutMs: seconds * 1000 };
}

async function takeOff({ namespace, name, timeoutMs }: Options): Promise<void> {
  const api = ApiServer.open(undefined);
  const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`;
  const found = await get(api, path);
  if (!found) return tell(`there is no DaemonSet ${namespace}/${name}: nothing to take off`);
  await api.call('PATCH', path, takingOff(found));
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const now = await get(api, path);
    if (!now || isDone(now)) return tell('nothing of Podwall is in force on any node');
    if (Date.now() >= deadline)
      return tell(`${remaining(now)} nodes did not answer in time: nothing was taken off there`);
    await sleep(POLL_MS);
  }
}

/** undefined where there is none. */
async function get(api: ApiServer, path: string): Promise<DaemonSet | undefined> {
  try {
    return (await api.call('GET', path)) as DaemonSet; // as the API server answers for this path
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  }
}

const tell = (text: string): void => {
  process.stdout.write(`podwall-uninstall: ${text}\n`);
};

async function main(): Promise<number> {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options) await takeOff(options);
    else process.stdout.write(HELP);
    return EXIT.done;
  } catch (error) {
    const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    process.stderr.write(`podwall-uninstall: ${error instanceof Error ? error.message : error}\n`);
    return isUsage ? EXIT.usage : EXIT.failed;
  }
}

process.exitCode = await main();
