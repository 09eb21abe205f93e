import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { statusFile } from './status-files.ts';

describe('the file of a status', () => {
  const cases = [
    [{ kind: 'NetworkRule', namespace: 'shop', name: 'checkout' }, 'shop.checkout.status.yaml'],
    [{ kind: 'ClusterNetworkRule', namespace: '', name: 'shop.checkout' }, '_cluster.shop.checkout.status.yaml'],
    [{ kind: 'NetworkRule', namespace: 'cluster', name: 'checkout' }, 'cluster.checkout.status.yaml'],
  ] as const;
  for (const [id, file] of cases)
    it(`of ${id.kind} ${id.namespace}/${id.name} is ${file}`, () => assert.equal(statusFile(id), file));
});
