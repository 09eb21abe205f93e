// The command line of the cluster.
import { parseArgs } from 'node:util';
import { CNIS, type Cni } from './node-files.ts';

export const HELP = `usage: node e2e/cluster/main.ts [--name NAME] [--provider PROVIDER] COMMAND

A real Kubernetes cluster on this machine, for tests: by kind where a Docker engine runs, else built from public Go
modules and run in namespaces, which needs root. The first time takes about ten minutes, each later one seconds.

  up [--nodes N] [--cni CNI] [--build-only]
                        make it, or start what of it does not run; prints the path of its kubeconfig
                        --nodes 1 to 9, 2 unless told; --cni bridge (unless told) or ptp
                        --build-only: only make ready what it is made of
  down                  stop it and remove all of it; what was built stays in the cache
  status                its nodes and pods
  image [--tag TAG]     build deploy/Dockerfile from this work tree, and load it into the nodes if the cluster is up;
                        TAG is localhost/podwall:dev unless told
  load ARCHIVE...       load image archives into every node
  node NODE COMMAND...  run a command in a node, as root
  kubectl ARGUMENT...   run kubectl on the cluster
  helm ARGUMENT...      run helm on the cluster
  test [--keep] [FILE...]
                        up, the end-to-end tests (e2e/cluster/*.e2e.ts unless told), and down unless it was up or --keep

  --name NAME           which cluster: several may be there at once (default "dev"; a-z, 0-9, at most 12)
  --provider PROVIDER   local or kind; unless told, kind where a Docker engine runs
  -h, --help            this text
`;

export const PROVIDERS = ['local', 'kind'] as const;

export type Action =
  | { readonly action: 'help' }
  | { readonly action: 'up'; readonly nodes: number; readonly cni: Cni; readonly onlyBuilds: boolean }
  | { readonly action: 'down' | 'status' }
  | { readonly action: 'image'; readonly tag: string }
  | { readonly action: 'load'; readonly archives: readonly string[] }
  | { readonly action: 'node'; readonly node: string; readonly command: readonly [string, ...string[]] }
  | { readonly action: 'kubectl' | 'helm'; readonly args: readonly string[] }
  | { readonly action: 'test'; readonly keeps: boolean; readonly files: readonly string[] };

export type Options = {
  readonly name: string;
  readonly provider: (typeof PROVIDERS)[number] | undefined;
  readonly action: Action;
};

export class UsageError extends Error {
  readonly code = 'Usage';
}

const NAME = /^[a-z0-9]{1,12}$/;
const MAX_NODES = 9;

/** Throws UsageError. */
export function parseOptions(args: readonly string[]): Options {
  // What follows the command's name belongs to the command: kubectl and others have options of their own.
  const start = commandIndex(args);
  const { name, provider, help } = general(args.slice(0, start));
  if (!NAME.test(name)) throw new UsageError(`--name ${name}: 1 to 12 of a-z and 0-9`);
  const known = PROVIDERS.find((each) => each === provider);
  if (provider !== undefined && !known) throw new UsageError(`--provider ${provider}: ${PROVIDERS.join(' or ')}`);
  const action: Action = help ? { action: 'help' } : parseAction(args[start], args.slice(start + 1));
  return { name, provider: known, action };
}

function commandIndex(args: readonly string[]): number {
  for (let i = 0; i < args.length; i++) {
    if (!args[i]?.startsWith('-')) return i;
    if (args[i] === '--name' || args[i] === '--provider') i++;
  }
  return args.length;
}

function general(args: readonly string[]) {
  return parsed({
    args: [...args],
    options: {
      name: { type: 'string', default: 'dev' },
      provider: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  }).values;
}

function parseAction(command: string | undefined, args: readonly string[]): Action {
  switch (command) {
    case 'up':
      return parseUp(args);
    case 'down':
    case 'status':
      if (args.length > 0) throw new UsageError(`${command} takes no arguments: ${args.join(' ')}`);
      return { action: command };
    case 'image':
      return {
        action: 'image',
        tag: parsed({ args: [...args], options: { tag: { type: 'string' } } }).values.tag ?? 'localhost/podwall:dev',
      };
    case 'load':
      if (args.length === 0) throw new UsageError('load needs the path of an image archive');
      return { action: 'load', archives: args };
    case 'node': {
      const [node, program, ...rest] = args;
      if (node === undefined || program === undefined) throw new UsageError('node needs a node and a command');
      return { action: 'node', node, command: [program, ...rest] };
    }
    case 'kubectl':
    case 'helm':
      return { action: command, args };
    case 'test':
      return parseTest(args);
    default:
      throw new UsageError(command === undefined ? 'a command is missing' : `there is no command ${command}`);
  }
}

function parseUp(args: readonly string[]): Action {
  const { values } = parsed({
    args: [...args],
    options: {
      nodes: { type: 'string', default: '2' },
      cni: { type: 'string', default: 'bridge' },
      'build-only': { type: 'boolean', default: false },
    },
  });
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
    throw new UsageError(`--nodes ${values.nodes}: 1 to ${MAX_NODES}`);
  const cni = CNIS.find((each) => each === values.cni);
  if (!cni) throw new UsageError(`--cni ${values.cni}: ${CNIS.join(' or ')}`);
  return { action: 'up', nodes, cni, onlyBuilds: values['build-only'] };
}

function parseTest(args: readonly string[]): Action {
  const { values, positionals } = parsed({
    args: [...args],
    options: { keep: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  return { action: 'test', keeps: values.keep, files: positionals };
}

const parsed: typeof parseArgs = (config) => {
  try {
    return parseArgs(config);
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
};
