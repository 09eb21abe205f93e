// The controller's command line.
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { METRICS_OPTION, type MetricsAddress, parseMetricsAddress } from '@podwall/metrics/address.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import manifest from './package.json' with { type: 'json' };

export const VERSION = manifest.version;

export const HELP = `Usage: podwall-controller --etcd URL --source kubernetes|DIR [options]

Reads rules, pods, namespaces and nodes from the Kubernetes API or from a folder of YAML, publishes to etcd what the agents
on the nodes are to enforce, and writes what they report to each rule's status. Follows its source until it is stopped.

  --etcd URL         etcd's client address: http://127.0.0.1:2379, or https:// with the three files below
  --etcd-ca FILE     certificate authority of etcd, PEM
  --etcd-cert FILE   this controller's certificate for etcd, PEM; its common name is podwall-controller
  --etcd-key FILE    its key, PEM
  --etcd-grant       have etcd tell clients apart by their certificates: podwall-agent then reads what is published and
                     writes reports, and nothing else
  --source SOURCE    kubernetes, or a folder of *.yaml and *.yml: NetworkRule, ClusterNetworkRule,
                     NetworkPolicy, Pod, Namespace, Node
  --metrics WHERE    serve metrics for Prometheus, /healthz and /readyz over HTTP; WHERE is a port of 127.0.0.1, or
                     ADDRESS:PORT; not served unless told
  --log-level LEVEL  ${LOG_LEVELS.join(', ')}; info unless told
  --version          print the version
  --help             print this

With --source kubernetes (as many controllers as you like; one leads, the others stand by):
  --kubeconfig FILE  how to reach the API server; unless told as kubectl does: $KUBECONFIG, ~/.kube/config, or the
                     service account of the pod that it runs in
  --namespace NAME   where the Lease podwall-controller lies by which they agree on a leader; podwall-system unless told
  --identity NAME    what it calls itself there; the host's name unless told

With a folder:
  --status-dir DIR   where NAMESPACE.NAME.status.yaml go, _cluster.NAME.status.yaml for a ClusterNetworkRule, and
                     _networkpolicy.NAMESPACE.NAME.status.yaml; the source folder unless told

Log lines are JSON on standard output. Exit code: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 wrong usage.
`;

const NAMESPACE = 'podwall-system';
const ETCD_URL = 'a URL, as in http://127.0.0.1:2379';

export type FolderOptions = { readonly kind: 'folder'; readonly folder: string; readonly statusFolder: string };
export type KubernetesOptions = {
  readonly kind: 'kubernetes';
  readonly kubeconfig: string | undefined;
  readonly namespace: string;
  readonly identity: string;
};

export type Options = {
  readonly etcd: string;
  /** Paths of PEM files. */
  readonly etcdTls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  readonly grantsAccess: boolean;
  readonly source: FolderOptions | KubernetesOptions;
  readonly metrics: MetricsAddress | undefined;
  readonly logLevel: LogLevel;
};

/** The message says what to do instead. */
export class UsageError extends Error {
  readonly code = 'USAGE';
  override readonly name = 'UsageError';
}

/** `text` is to be printed, and that is all. Throws UsageError. */
export function readOptions(args: readonly string[]): Options | { readonly text: string } {
  const flags = readFlags(args);
  const { etcd, 'log-level': logLevel, help, version } = flags;
  if (help) return { text: HELP };
  if (version) return { text: `${VERSION}\n` };
  if (!etcd) throw new UsageError(`--etcd is missing: give ${ETCD_URL}`);
  if (!URL.canParse(etcd) || !['http:', 'https:'].includes(new URL(etcd).protocol)) {
    throw new UsageError(`--etcd ${etcd} is no address of etcd: give ${ETCD_URL}`);
  }
  const level = LOG_LEVELS.find((known) => known === logLevel);
  if (!level) throw new UsageError(`--log-level ${logLevel} is not known: give one of ${LOG_LEVELS.join(', ')}`);
  return {
    etcd,
    etcdTls: readTls(etcd, flags['etcd-ca'], flags['etcd-cert'], flags['etcd-key']),
    grantsAccess: readGrant(etcd, flags['etcd-grant']),
    source: readSource(flags),
    metrics: readMetrics(flags.metrics),
    logLevel: level,
  };
}

function readSource(flags: Flags): Options['source'] {
  const { source, 'status-dir': statusFolder, kubeconfig, namespace, identity } = flags;
  if (!source) throw new UsageError('--source is missing: give kubernetes, or a folder of YAML');
  if (source !== 'kubernetes') {
    for (const name of ['kubeconfig', 'namespace', 'identity'] as const) {
      if (flags[name] !== undefined) throw new UsageError(`--${name} is for --source kubernetes only: leave it out`);
    }
    return { kind: 'folder', folder: resolve(source), statusFolder: resolve(statusFolder || source) };
  }
  if (statusFolder !== undefined) {
    throw new UsageError('--status-dir is for a folder only (one of this name as ./kubernetes): leave it out');
  }
  return { kind: 'kubernetes', kubeconfig, namespace: namespace || NAMESPACE, identity: identity || hostname() };
}

function readMetrics(text: string | undefined): MetricsAddress | undefined {
  const address = text === undefined ? undefined : parseMetricsAddress(text);
  if (text !== undefined && !address) throw new UsageError(`--metrics ${text} is no address: give ${METRICS_OPTION}`);
  return address;
}

function readTls(etcd: string, ca?: string, cert?: string, key?: string): Options['etcdTls'] {
  if (!isTls(etcd) && !(ca || cert || key)) return undefined;
  if (!isTls(etcd)) throw new UsageError(`--etcd ${etcd} is without TLS: give an https:// address, or no certificates`);
  if (!(ca && cert && key)) throw new UsageError('https needs --etcd-ca, --etcd-cert and --etcd-key: give all three');
  return { ca, cert, key };
}

function readGrant(etcd: string, grants: boolean | undefined): boolean {
  if (grants && !isTls(etcd)) throw new UsageError('--etcd-grant needs certificates: give an https:// address');
  return grants ?? false;
}

const isTls = (etcd: string): boolean => etcd.startsWith('https:');

type Flags = ReturnType<typeof readFlags>;

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        etcd: { type: 'string' },
        'etcd-ca': { type: 'string' },
        'etcd-cert': { type: 'string' },
        'etcd-key': { type: 'string' },
        'etcd-grant': { type: 'boolean' },
        source: { type: 'string' },
        'status-dir': { type: 'string' },
        kubeconfig: { type: 'string' },
        namespace: { type: 'string' },
        identity: { type: 'string' },
        metrics: { type: 'string' },
        'log-level': { type: 'string', default: 'info' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split('\n')[0] ?? message); // the rest is about writing values that begin with a dash
  }
}
