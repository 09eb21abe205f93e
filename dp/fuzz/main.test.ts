// The fuzzer's command line: what it says, and how it ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { parseOptions, UsageError } from './options.ts';
import { jsonOfResults, textOfResult } from './summary.ts';

function start(...args: string[]) {
  const child = spawn(process.execPath, [`${import.meta.dirname}/main.ts`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { child, done: Promise.all([ended, text(child.stdout), text(child.stderr)]) };
}

describe('npm run fuzz', () => {
  it('ends by itself, and says what it compared', async () => {
    const [code, out, err] = await start('--minutes', '0.02', '--only', 'verdicts', '--only', 'frames', '--json').done;
    assert.equal(code, 0, err);
    const results: { part: string; counts: Record<string, number>; finding: null }[] = JSON.parse(out);
    assert.deepEqual(
      results.map(({ part, finding }) => [part, finding]),
      [
        ['verdicts', null],
        ['frames', null],
      ],
    );
    assert.ok(results.every(({ counts }) => (counts.verdicts ?? counts.frames ?? 0) > 0));
  });

  it('says on Ctrl-C what it has come to so far', async () => {
    const { child, done } = start('--minutes', '60', '--seed', '9', '--only', 'verdicts');
    child.stderr.on('data', (words) => {
      if (`${words}`.includes('verdicts,')) child.kill('SIGINT');
    });
    const [code, out, err] = await done;
    assert.equal(code, 130, err);
    assert.match(out, /^verdicts: [\d,]+ verdicts, \d+ policies.*\n(?: {2}.*\n)+ {2}no difference\n$/);
    assert.match(err, /from seed 9,/);
  });
});

describe('its options', () => {
  const wrong = [
    ['--minutes', 'x'],
    ['--minutes', '0'],
    ['--seed', '1.5'],
    ['--seed', '-1'],
    ['--only', 'x'],
    ['--x'],
    ['x'],
  ];
  for (const args of wrong)
    it(`${args.join(' ')} is refused`, () => {
      assert.throws(() => parseOptions(args, 1), UsageError);
    });
  it('have defaults', () => {
    assert.deepEqual(parseOptions([], 41), {
      action: 'run',
      minutes: 1,
      parts: ['verdicts', 'frames', 'datagrams'],
      seed: 42,
      isJson: false,
    });
  });
});

describe('a difference', () => {
  const finding = { seed: 71, text: '  passed, not dropped' };
  const result = { part: 'verdicts', seconds: 2, counts: { verdicts: 3000 }, finding } as const;
  it('is told with the command that finds it again', () => {
    assert.equal(
      textOfResult(result),
      [
        'verdicts: 3,000 verdicts in 2 s, 1,500 verdicts/s',
        '  DIFFERENCE',
        '  passed, not dropped',
        '  again: npm run fuzz -- --only verdicts --seed 71',
      ].join('\n'),
    );
  });
  it('is in the JSON too', () => {
    assert.deepEqual(JSON.parse(jsonOfResults([result])), [{ ...result }]);
  });
});
