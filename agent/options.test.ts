import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommandLine, UsageError } from './options.ts';

const ENOUGH = ['--node', 'n', '--etcd', 'http://127.0.0.1:1', '--workloads', 'netns:/x', '--resolver', '127.0.0.1'];

describe('the command line', () => {
  it('has the reference’s sockets unless told', () => {
    assert.deepEqual(readCommandLine(ENOUGH), {
      ...{ kind: 'run', node: 'n', etcdUrl: 'http://127.0.0.1:1', workloadsPath: '/x', logLevel: 'info' },
      ...{ resolver: { address: '127.0.0.1', port: 53 } },
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

  const wrong: [readonly string[], RegExp][] = [
    [[], /^--etcd is missing$/],
    [ENOUGH.slice(2), /^--node is missing$/],
    [['extra'], /^Unexpected argument 'extra'/],
    [[...ENOUGH, '--etcd', '127.0.0.1:2379'], /^--etcd 127\.0\.0\.1:2379: give a URL/],
    [[...ENOUGH, '--workloads', '/x'], /^--workloads \/x: give netns: and the path/],
    [[...ENOUGH, '--resolver', 'dns.example'], /^--resolver dns\.example: give an IP address/],
    [[...ENOUGH, '--resolver', '10.0.0.1:99999'], /^--resolver 10\.0\.0\.1:99999: give an IP address/],
    [[...ENOUGH, '--log-level', 'loud'], /^--log-level loud: give one of/],
    [[...ENOUGH, '--etcd-cert', '/x'], /^give --etcd-cert and --etcd-key together$/],
    [[...ENOUGH, '--etcd-cert', '/x', '--etcd-key', '/y'], /^give --etcd-ca with --etcd-cert$/],
  ];
  for (const [args, message] of wrong)
    it(`is refused as ${JSON.stringify(args.slice(-2))}: ${message}`, () => {
      assert.throws(
        () => readCommandLine(args),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });
});
