import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parserMessage, printable } from './printable.ts';

describe('text of a file in a message', () => {
  const cases = [
    ['as it is', 'größer ✓', 'größer ✓'],
    ['of 90 characters', 'x'.repeat(90), 'x'.repeat(90)],
    [
      'that is longer',
      `${'x'.repeat(200)} at line 3, column 70`,
      `${'x'.repeat(60)}…${'x'.repeat(8)} at line 3, column 70`,
    ],
    ['that would clear the terminal', '\u001b[2J\u009b2J\u007f\r\n', '\\u001b[2J\\u009b2J\\u007f\\u000d\\u000a'],
    ['that would turn what follows it', 'a\u202eb\u2028', 'a\\u202eb\\u2028'],
    ['with half a character', 'a\ud83d', 'a\\ud83d'],
  ] as const;
  for (const [what, text, expected] of cases)
    it(`${what} is ${expected}`, () => assert.equal(printable(text), expected));

  it('of a parser is its first line', () =>
    assert.equal(parserMessage('Bad at line 1, column 4:\n\na: b: c\n   ^\n'), 'Bad at line 1, column 4'));
});
