// The demo's command line.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions, UsageError } from './options.ts';

describe('the demo’s options', () => {
  const good = [
    [[], { action: 'run', isJson: false, keepsRunning: false }],
    [['--json'], { action: 'run', isJson: true, keepsRunning: false }],
    [['--keep', '--json'], { action: 'run', isJson: true, keepsRunning: true }],
    [['--stop', '12-1'], { action: 'stop', id: '12-1' }],
    [['-h', '--json'], { action: 'help' }],
  ] as const;
  for (const [args, options] of good)
    it(`understands ${args.join(' ') || 'none'}`, () => assert.deepEqual(parseOptions(args), options));
  const bad = [['--fast'], ['now'], ['--stop'], ['--stop', '12-1', '--keep']];
  for (const args of bad) it(`refuses ${args.join(' ')}`, () => assert.throws(() => parseOptions(args), UsageError));
});
