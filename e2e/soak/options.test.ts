// The soak's command line.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { parseOptions, UsageError } from './options.ts';

const DEFAULTS = { action: 'run', isStorm: false, seconds: 600, workloads: 100, kills: 50, seed: 7, json: undefined };

describe('the command line', () => {
  const cases: readonly [args: string[], options: object][] = [
    [[], DEFAULTS],
    [['--minutes', '0.5'], { ...DEFAULTS, seconds: 30, kills: 3 }],
    [['--workloads', '3', '--kills', '0', '--seed', '9'], { ...DEFAULTS, workloads: 3, kills: 0, seed: 9 }],
    [['--storm', '--json', 'seen.json'], { ...DEFAULTS, isStorm: true, json: 'seen.json' }],
    [['-h'], { action: 'help' }],
  ];
  for (const [args, options] of cases)
    it(`reads ${args.join(' ') || 'nothing'}`, () => assert.deepEqual(parseOptions(args, DEFAULTS.seed), options));

  const refused: readonly [args: string[], words: RegExp][] = [
    [['--minutes', '0'], /--minutes 0: a number above 0/],
    [['--minutes', 'long'], /--minutes long: not a number/],
    [['--workloads', '1000'], /--workloads 1000: a whole number from 1 to 200/],
    [['--kills', '-1'], /--kills/],
    [['--kills', '1.5'], /--kills 1.5: a whole number from 0 up/],
    [['--minutes', '1', '--kills', '60'], /--kills 60: at most 20 in 60 s/],
    [['--sed', '1'], /--sed/],
  ];
  for (const [args, words] of refused)
    it(`refuses ${args.join(' ')}, and says what is allowed`, () =>
      assert.throws(
        () => parseOptions(args, DEFAULTS.seed),
        (error) => error instanceof UsageError && words.test(error.message),
      ));

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [`${import.meta.dirname}/main.ts`, ...args], { encoding: 'utf8' });
  it('says what it can do', () => {
    const { status, stdout } = run('--help');
    assert.equal(status, 0);
    assert.match(stdout, /^usage: npm run soak/);
  });
  it('ends with 2 where it is used wrongly', () => {
    const { status, stderr } = run('--minutes', '0');
    assert.equal(status, 2);
    assert.match(stderr, /--help lists the options/);
  });
});
