// Which Go can build Kubernetes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isEnough, parseVersion } from './go-toolchain.ts';

describe('a Go toolchain', () => {
  const cases = [
    ['go version go1.26.8 linux/amd64', true],
    ['go version go1.27 linux/arm64', true],
    ['go version go2.0.1 linux/amd64', true],
    ['go version go1.26.5 linux/amd64', false],
    ['go version go1.19.8 linux/amd64', false],
  ] as const;
  for (const [text, enough] of cases)
    it(`${text} is ${enough ? 'new enough' : 'too old'}`, () =>
      assert.equal(isEnough(parseVersion(text) ?? []), enough));

  it('is asked for in the version that go.mod needs', () => {
    const needed = /^go (.*)$/m.exec(readFileSync(join(import.meta.dirname, 'go/go.mod'), 'utf8'))?.[1] ?? '';
    assert.ok(isEnough(parseVersion(`go${needed}`) ?? []));
    const [major = 0, minor = 0, patch = 0] = parseVersion(`go${needed}`) ?? [];
    assert.ok(!isEnough([major, minor, patch - 1]));
  });
});
