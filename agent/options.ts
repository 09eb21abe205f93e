// The command line. Pure.
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { METRICS_OPTION, type MetricsAddress, parseMetricsAddress } from '@podwall/metrics/address.ts';
import type { WorkloadsFrom } from './agent.ts';

export const USAGE = `podwall-agent: computes the policies of a node's workloads and has dp enforce them

usage: node agent/main.ts --node NAME --etcd URL --workloads SOURCE --resolver IP[:PORT] [options]

  --node NAME             name of this node, as the controller calls it
  --etcd URL              where etcd listens: http://10.0.0.1:2379, or https:// with the three files below
  --etcd-ca FILE          certificate authority of etcd, PEM
  --etcd-cert FILE        this agent's certificate for etcd, PEM
  --etcd-key FILE         its key, PEM
  --workloads SOURCE      where this node's workloads are learned from:
                          runtime     the container runtime (containerd, CRI-O), which asks before it starts a pod
                          netns:FILE  YAML or JSON list of {namespace, name, uid, netns: /run/netns/x, interface: eth0}
  --runtime-socket PATH   with runtime: its CRI socket (default /run/containerd/containerd.sock)
  --nri-socket PATH       with runtime: its NRI socket (default /var/run/nri/nri.sock)
  --startup hold|allow    with runtime: a pod whose policy is not in force in time is held back (unless told), or starts
  --exempt-namespaces A,B with runtime: pods of these never wait; none: '' (default kube-system,podwall-system)
  --resolver IP[:PORT]    DNS server that domain names of rules are looked up at; an IPv6 address with a port in brackets
  --more-resolvers A,B    further DNS servers that workloads ask at port 53: like the resolver's, their answers to a
                          workload teach the addresses of its rules' names
  --dp PATH               socket of dp (default /tmp/dp_listen.sock)
  --notify PATH           socket that dp reports to (default /tmp/ctrl_listen.sock)
  --metrics WHERE         serve metrics for Prometheus, /healthz and /readyz over HTTP; WHERE is a port of 127.0.0.1, or
                          ADDRESS:PORT; not served unless told
  --log-level LEVEL       trace, debug, info, warn, error or silent (default info)
  --help, --version
`;

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];
const DNS_PORT = 53;
const MAX_PORT = 0xffff;
/** Of dp, the resolver included. */
const MAX_RESOLVERS = 64;
/** What options may be, in words. */
const ETCD_URL = 'a URL, as in http://10.0.0.1:2379';
const WORKLOADS = 'runtime, or netns: and the path of a file';
const STARTUPS = ['hold', 'allow'] as const;
/** Options that mean nothing unless workloads come from the container runtime. */
const RUNTIME_OPTIONS = ['runtime-socket', 'nri-socket', 'startup', 'exempt-namespaces'] as const;
const RESOLVER = `an IP address, with a port if it is not ${DNS_PORT}`;

export class UsageError extends Error {
  readonly code = 'USAGE';

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export type Run = {
  readonly kind: 'run';
  readonly node: string;
  readonly etcdUrl: string;
  /** Paths of PEM files. */
  readonly etcdTls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
  readonly workloads: WorkloadsFrom;
  readonly resolver: { readonly address: string; readonly port: number };
  /** Addresses of DNS servers whose answers to workloads count; the resolver is the first. */
  readonly answersFrom: readonly string[];
  readonly dpPath: string;
  readonly notifyPath: string;
  readonly metrics?: MetricsAddress;
  readonly logLevel: string;
};
export type CommandLine = { readonly kind: 'help' } | { readonly kind: 'version' } | Run;

const options = {
  node: { type: 'string' },
  etcd: { type: 'string' },
  'etcd-ca': { type: 'string' },
  'etcd-cert': { type: 'string' },
  'etcd-key': { type: 'string' },
  workloads: { type: 'string' },
  'runtime-socket': { type: 'string' },
  'nri-socket': { type: 'string' },
  startup: { type: 'string' },
  'exempt-namespaces': { type: 'string' },
  resolver: { type: 'string' },
  'more-resolvers': { type: 'string', default: '' },
  dp: { type: 'string', default: '/tmp/dp_listen.sock' },
  notify: { type: 'string', default: '/tmp/ctrl_listen.sock' },
  metrics: { type: 'string' },
  'log-level': { type: 'string', default: 'info' },
  help: { type: 'boolean', default: false },
  version: { type: 'boolean', default: false },
} as const;

/** Throws UsageError, which says what to do. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const values = parse(args);
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  if (!LOG_LEVELS.includes(values['log-level']))
    throw new UsageError(`--log-level ${values['log-level']} is not known: give one of ${LOG_LEVELS.join(', ')}`);
  const etcdUrl = required('etcd', values.etcd, ETCD_URL);
  if (!/^https?:\/\/[^/]+$/.test(etcdUrl))
    throw new UsageError(`--etcd ${etcdUrl} is no address of etcd: give ${ETCD_URL}`);
  const tls = readTls(values['etcd-ca'], values['etcd-cert'], values['etcd-key']);
  const resolver = readResolver(required('resolver', values.resolver, RESOLVER));
  return {
    kind: 'run',
    node: required('node', values.node, 'the name of this node, as the controller calls it'),
    etcdUrl,
    ...(tls && { etcdTls: tls }),
    workloads: readWorkloads(required('workloads', values.workloads, WORKLOADS), values),
    resolver,
    answersFrom: [resolver.address, ...readMoreResolvers(values['more-resolvers'])],
    dpPath: values.dp,
    notifyPath: values.notify,
    ...(values.metrics !== undefined && { metrics: readMetrics(values.metrics) }),
    logLevel: values['log-level'],
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split('\n')[0] ?? message); // the rest is about writing values that begin with a dash
  }
}

function required(name: string, value: string | undefined, allowed: string): string {
  if (value === undefined || value === '') throw new UsageError(`--${name} is missing: give ${allowed}`);
  return value;
}

function readMetrics(text: string): MetricsAddress {
  const address = parseMetricsAddress(text);
  if (!address) throw new UsageError(`--metrics ${text} is no address: give ${METRICS_OPTION}`);
  return address;
}

function readTls(ca?: string, cert?: string, key?: string): Run['etcdTls'] {
  if ((cert === undefined) !== (key === undefined))
    throw new UsageError(
      `--etcd-${cert === undefined ? 'cert' : 'key'} is missing: give both --etcd-cert and --etcd-key, or none`,
    );
  if (cert !== undefined && ca === undefined) throw new UsageError('--etcd-ca is missing: give it with --etcd-cert');
  return ca === undefined ? undefined : { ca, ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
}

type RuntimeValues = Readonly<Partial<Record<(typeof RUNTIME_OPTIONS)[number], string>>>;

function readWorkloads(text: string, values: RuntimeValues): WorkloadsFrom {
  if (text === 'runtime') return readRuntime(values);
  const [, path] = /^netns:(.+)$/.exec(text) ?? [];
  if (path === undefined) throw new UsageError(`--workloads ${text} is no source of workloads: give ${WORKLOADS}`);
  const given = RUNTIME_OPTIONS.find((name) => values[name] !== undefined);
  if (given) throw new UsageError(`--${given} is for --workloads runtime: leave it out with ${text}`);
  return { kind: 'netns', path };
}

function readRuntime(values: RuntimeValues): WorkloadsFrom {
  const { startup = 'hold', 'exempt-namespaces': exempt = 'kube-system,podwall-system' } = values;
  const known = STARTUPS.find((each) => each === startup);
  if (!known) throw new UsageError(`--startup ${startup} is not known: give one of ${STARTUPS.join(', ')}`);
  const exemptNamespaces = exempt.split(',').filter((name) => name !== '');
  const wrong = exemptNamespaces.find((name) => !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name));
  if (wrong !== undefined)
    throw new UsageError(`--exempt-namespaces: ${wrong} is no name of a namespace: give names, joined by commas`);
  return {
    kind: 'runtime',
    runtimePath: readPath('runtime-socket', values, '/run/containerd/containerd.sock'),
    nriPath: readPath('nri-socket', values, '/var/run/nri/nri.sock'),
    startup: known,
    exemptNamespaces,
  };
}

function readPath(name: 'runtime-socket' | 'nri-socket', values: RuntimeValues, unlessTold: string): string {
  const path = (values[name] ?? unlessTold).replace(/^unix:\/\//, ''); // as crictl and kubelet have it
  if (!path.startsWith('/')) throw new UsageError(`--${name} ${path} is no path: give one that begins with /`);
  return path;
}

function readMoreResolvers(text: string): string[] {
  const addresses = text.split(',').filter((one) => one !== '');
  const bad = addresses.find((one) => isIP(one) === 0);
  if (bad !== undefined)
    throw new UsageError(`--more-resolvers ${text}: ${bad} is no IP address; give addresses with commas between them`);
  if (addresses.length >= MAX_RESOLVERS)
    throw new UsageError(`--more-resolvers names ${addresses.length} DNS servers: give at most ${MAX_RESOLVERS - 1}`);
  return addresses;
}

function readResolver(text: string): Run['resolver'] {
  const [, host = text, port = DNS_PORT] = (isIP(text) === 0 && /^(.+):(\d+)$/.exec(text)) || [];
  const resolver = { address: host.replace(/^\[(.+)\]$/, '$1'), port: Number(port) };
  if (isIP(resolver.address) === 0 || resolver.port < 1 || resolver.port > MAX_PORT)
    throw new UsageError(`--resolver ${text} is no DNS server: give ${RESOLVER}`);
  return resolver;
}
