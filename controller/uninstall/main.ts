#!/usr/bin/env node
// podwall-uninstall: takes what is in force off every node, before the chart's resources go. In the DaemonSet's place it
// has every node run `dp --detach`, which ends the programs and removes their pins.
import { parseArgs } from 'node:util';
import { DaemonSetClient, KubernetesError } from './daemon-set-client.ts';
import { isDone, remaining, takingOff } from './take-off.ts';

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
  const client = DaemonSetClient.inCluster(namespace, name);
  const found = await client.get();
  if (!found) return tell(`there is no DaemonSet ${namespace}/${name}: nothing to take off`);
  await client.patch(takingOff(found));
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const now = await client.get();
    if (!now || isDone(now)) return tell('nothing of Podwall is in force on any node');
    if (Date.now() >= deadline)
      return tell(`${remaining(now)} nodes did not answer in time: nothing was taken off there`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
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
    const isUsage = error instanceof UsageError || error instanceof TypeError;
    if (!isUsage && !(error instanceof KubernetesError)) throw error;
    process.stderr.write(`podwall-uninstall: ${error.message}\n`);
    return isUsage ? EXIT.usage : EXIT.failed;
  }
}

process.exitCode = await main();
