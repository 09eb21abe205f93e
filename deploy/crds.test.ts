import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { DEFINITIONS } from '@podwall/controller/api/crd.ts';
import { fileOf, textOf } from './crds.ts';

describe('the chart’s resource definitions', () => {
  for (const definition of DEFINITIONS) {
    it(`have the ${definition.kind} of the schemas: else run node deploy/crds.ts`, async () => {
      assert.equal(await readFile(fileOf(definition), 'utf8'), textOf(definition));
    });
  }
});
