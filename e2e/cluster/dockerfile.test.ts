// Which images a Dockerfile starts from.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { basesOf } from './dockerfile.ts';

describe('the bases of a Dockerfile', () => {
  const cases = [
    ['one', 'FROM debian:bookworm-slim\nRUN true', ['debian:bookworm-slim']],
    ['none, for scratch', '# FROM nothing\nFROM scratch\nCOPY a /a', []],
    ['each once', 'FROM a:1 AS x\nFROM a:1 AS y\nFROM b:2', ['a:1', 'b:2']],
    ['no stage of its own', 'FROM a:1 AS build\nFROM build AS test\nfrom scratch\nCOPY --from=build /a /a', ['a:1']],
    ['past options', 'FROM --platform=linux/amd64 a:1 as build', ['a:1']],
  ] as const;
  for (const [name, text, bases] of cases) it(name, () => assert.deepEqual(basesOf(text), bases));
});
