import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { answerLine, type BatchAnswer } from './batch.ts';
import { differences, ORACLE_IS_MISSING, readOracle } from './oracle.ts';

if (ORACLE_IS_MISSING) process.stderr.write(`${ORACLE_IS_MISSING}\n`);

const verdictsOf = (answer: BatchAnswer) => ('Verdicts' in answer ? answer.Verdicts : assert.fail(answer.Error));

describe('the cases of an independent suite of NetworkPolicies', { skip: ORACLE_IS_MISSING }, () => {
  it('are judged as there, on both sides of every connection', (t) => {
    const cases = readOracle();
    const wrong = cases.flatMap(({ title, line, expected }) =>
      differences(expected, verdictsOf(answerLine(line))).map((difference) => `${title}: ${difference}`),
    );
    assert.deepEqual(wrong.slice(0, 10), []);
    t.diagnostic(`${cases.length} cases, ${cases.reduce((sum, { expected }) => sum + expected.length, 0)} connections`);
  });

  it('are judged the same through the command, line by line', async (t) => {
    const cases = readOracle();
    const started = Date.now();
    const child = spawn(process.execPath, [join(import.meta.dirname, '../main.ts'), 'explain', '--batch'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(cases.map(({ line }) => `${line}\n`).join(''));
    const lines = (await text(child.stdout)).trim().split('\n');
    t.diagnostic(`${Date.now() - started} ms`);
    assert.equal(lines.length, cases.length);
    const wrong = cases.flatMap(({ title, expected }, i) =>
      differences(expected, verdictsOf(JSON.parse(lines[i] ?? ''))).map((difference) => `${title}: ${difference}`),
    );
    assert.deepEqual(wrong.slice(0, 10), []);
  });
});
