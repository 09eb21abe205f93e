// The command line of the cluster.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions, UsageError } from './options.ts';

const UP = { action: 'up', nodes: 2, cni: 'bridge', onlyBuilds: false };

describe('the cluster’s options', () => {
  const good = [
    ['up', UP],
    ['up --nodes 3 --cni ptp', { ...UP, nodes: 3, cni: 'ptp' }],
    ['up --build-only', { ...UP, onlyBuilds: true }],
    ['down', { action: 'down' }],
    ['image', { action: 'image', tag: 'localhost/podwall:dev' }],
    ['image --tag localhost/podwall:2', { action: 'image', tag: 'localhost/podwall:2' }],
    ['load a.tar b.tar', { action: 'load', archives: ['a.tar', 'b.tar'] }],
    ['node n1 ip -o link', { action: 'node', node: 'n1', command: ['ip', '-o', 'link'] }],
    ['kubectl get pods --help', { action: 'kubectl', args: ['get', 'pods', '--help'] }],
    ['test --keep a.e2e.ts', { action: 'test', keeps: true, files: ['a.e2e.ts'] }],
    ['--help', { action: 'help' }],
  ] as const;
  for (const [line, action] of good)
    it(`understands ${line}`, () => assert.deepEqual(parseOptions(line.split(' ')).action, action));

  it('takes the cluster’s name and provider before the command, and leaves the command’s own alone', () => {
    const options = parseOptions(['--name', 'two', '--provider=kind', 'kubectl', '--name', 'x']);
    assert.deepEqual(options, { name: 'two', provider: 'kind', action: { action: 'kubectl', args: ['--name', 'x'] } });
  });

  const bad = [
    '',
    'fly',
    'up --nodes 0',
    'up --nodes ten',
    'up --cni none',
    'down now',
    'load',
    'node n1',
    '--name A/b up',
  ];
  for (const line of [...bad, '--provider podman up', '--fast up'])
    it(`refuses “${line}”`, () => assert.throws(() => parseOptions(line.split(' ').filter(Boolean)), UsageError));
});
