// --batch: lines from one stream, as many lines to another, each as soon as it is answered.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { answerLine } from './batch.ts';

/** Empty lines are passed over. Answers how many lines there were, and of these how many had errors. */
export async function answerLines(
  input: Readable,
  output: Writable,
): Promise<{ readonly lines: number; readonly errors: number }> {
  let [lines, errors] = [0, 0];
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '') continue;
    const answer = answerLine(line);
    lines += 1;
    errors += Number('Error' in answer);
    if (!output.write(`${JSON.stringify(answer)}\n`)) await once(output, 'drain');
  }
  return { lines, errors };
}
