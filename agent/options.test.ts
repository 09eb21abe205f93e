import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommandLine, UsageError } from './options.ts';

const ENOUGH = ['--node', 'n', '--etcd', 'http://127.0.0.1:1', '--workloads', 'netns:/x', '--resolver', '127.0.0.1'];

describe('the command line', () => {
  it('has the reference’s sockets unless told', () => {
    assert.deepEqual(readCommandLine(ENOUGH), {
      ...{
        kind: 'run',
        node: 'n',
        etcdUrl: 'http://127.0.0.1:1',
        workloads: { kind: 'netns', path: '/x' },
        logLevel: 'info',
      },
      ...{ resolver: { address: '127.0.0.1', port: 53 }, answersFrom: ['127.0.0.1'] },
      ...{ dpPath: '/tmp/dp_listen.sock', notifyPath: '/tmp/ctrl_listen.sock' },
    });
  });

  const resolvers = [
    ['10.0.0.1:5353', { address: '10.0.0.1', port: 5353 }],
    ['2001:db8::1', { address: '2001:db8::1', port: 53 }],
    ['[2001:db8::1]:5353', { address: '2001:db8::1', port: 5353 }],
  ] as const;
  for (const [text, resolver] of resolvers)
    it(`takes --resolver ${text}`, () => {
      const line = readCommandLine([...ENOUGH, '--resolver', text]);
      assert.deepEqual(line.kind === 'run' && line.resolver, resolver);
    });

  it('takes further resolvers, whose answers to workloads count', () => {
    const line = readCommandLine([...ENOUGH, '--more-resolvers', '10.0.0.2,2001:db8::1']);
    assert.deepEqual(line.kind === 'run' && line.answersFrom, ['127.0.0.1', '10.0.0.2', '2001:db8::1']);
  });

  it('takes the container runtime’s sockets, and who waits', () => {
    const runtime = [...ENOUGH, '--workloads', 'runtime'];
    const of = (...args: readonly string[]) => {
      const line = readCommandLine([...runtime, ...args]);
      return line.kind === 'run' && line.workloads;
    };
    assert.deepEqual(of(), {
      ...{ kind: 'runtime', runtimePath: '/run/containerd/containerd.sock', nriPath: '/var/run/nri/nri.sock' },
      ...{ startup: 'hold', exemptNamespaces: ['kube-system', 'podwall-system'] },
    });
    const told = ['--runtime-socket', 'unix:///run/crio/crio.sock', '--nri-socket', '/n', '--startup', 'allow'];
    assert.deepEqual(of(...told, '--exempt-namespaces', ''), {
      ...{ kind: 'runtime', runtimePath: '/run/crio/crio.sock', nriPath: '/n', startup: 'allow', exemptNamespaces: [] },
    });
  });

  const wrong: [readonly string[], RegExp][] = [
    [[...ENOUGH, '--more-resolvers', '10.0.0.2,dns'], /^--more-resolvers 10\.0\.0\.2,dns: dns is no IP address/],
    [[...ENOUGH, '--more-resolvers', Array(64).fill('10.0.0.2').join()], /names 64 DNS servers: give at most 63/],
    [[], /^--etcd is missing: give a URL, as in http:/],
    [ENOUGH.slice(2), /^--node is missing: give the name of this node/],
    [['--etcd', '--node', 'n'], /^Option '--etcd' argument is ambiguous\.$/],
    [['--etcd', ''], /^--etcd is missing: give/],
    [['extra'], /^Unexpected argument 'extra'/],
    [[...ENOUGH, '--startup', 'hold'], /^--startup is for --workloads runtime: leave it out with netns:\/x$/],
    [
      [...ENOUGH, '--workloads', 'runtime', '--startup', 'Hold'],
      /^--startup Hold is not known: give one of hold, allow$/,
    ],
    [[...ENOUGH, '--workloads', 'runtime', '--nri-socket', 'x'], /^--nri-socket x is no path: give one that begins/],
    [[...ENOUGH, '--workloads', 'runtime', '--exempt-namespaces', 'a b'], /^--exempt-namespaces: a b is no name of/],
    [[...ENOUGH, '--etcd', '127.0.0.1:2379'], /^--etcd 127\.0\.0\.1:2379 is no address of etcd: give a URL, as in/],
    [
      [...ENOUGH, '--workloads', '/x'],
      /^--workloads \/x is no source of workloads: give runtime, or netns: and the path of a file$/,
    ],
    [[...ENOUGH, '--resolver', 'dns.example'], /^--resolver dns\.example is no DNS server: give an IP address/],
    [[...ENOUGH, '--resolver', '10.0.0.1:99999'], /^--resolver 10\.0\.0\.1:99999 is no DNS server: give an IP address/],
    [[...ENOUGH, '--log-level', 'loud'], /^--log-level loud is not known: give one of trace, debug/],
    [[...ENOUGH, '--etcd-cert', '/x'], /^--etcd-key is missing: give both --etcd-cert and --etcd-key, or none$/],
    [[...ENOUGH, '--etcd-cert', '/x', '--etcd-key', '/y'], /^--etcd-ca is missing: give it with --etcd-cert$/],
  ];
  for (const [args, message] of wrong)
    it(`is refused as ${JSON.stringify(args.slice(-2))}: ${message}`, () => {
      assert.throws(
        () => readCommandLine(args),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });
});
