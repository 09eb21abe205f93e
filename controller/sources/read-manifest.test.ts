import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readManifest } from './read-manifest.ts';

/** Every second /26 of a /16 left out: each peer comes to as many ranges, and each range to an entry. */
const except = Array.from({ length: 512 }, (_, i) => `10.0.${i >> 1}.${(i & 1) * 128}/26`);
const policy = (peers: number) => ({
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'web', namespace: 'shop' } },
  spec: { ingress: [{ from: Array.from({ length: peers }, () => ({ ipBlock: { cidr: '10.0.0.0/16', except } })) }] },
});

describe('a resource', () => {
  it('is taken where etcd takes what is published of it', () => {
    assert.ok('resource' in readManifest(policy(1)));
  });
  it('is refused where that is too large, however small its manifest is', () => {
    const read = readManifest(policy(20));
    const [refusal] = 'refusals' in read ? read.refusals : [];
    assert.match(
      refusal?.message ?? '',
      /^NetworkPolicy shop\/web: comes to \d+ bytes as published, .*: split it into several$/,
    );
    assert.equal(refusal?.resource?.name, 'web');
  });
});
