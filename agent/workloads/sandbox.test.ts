import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Sandboxes, type SandboxPod, uidOf } from './sandbox.ts';

const pod = (sandbox: string, uid = sandbox): SandboxPod => ({
  ...{ sandbox, uid, namespace: 'shop', name: uid, netns: { path: `/run/netns/${sandbox}` } },
});
const pathsOf = (sandboxes: Sandboxes) => sandboxes.places().map(({ netns }) => netns);

describe('the sandboxes of a node', () => {
  it('that the runtime has not listed yet stay, those that it no longer lists end', () => {
    const sandboxes = new Sandboxes();
    sandboxes.add(pod('a'));
    assert.equal(sandboxes.endUnlisted(new Set()), false, 'its start is not answered yet');
    assert.equal(sandboxes.endUnlisted(new Set(['a'])), false);
    assert.equal(sandboxes.endUnlisted(new Set()), true);
    assert.deepEqual(sandboxes.places(), []);
  });

  it('are those that the runtime says at registration, and no others', () => {
    const sandboxes = new Sandboxes();
    sandboxes.add(pod('a'));
    sandboxes.replace([pod('b')]);
    assert.deepEqual(pathsOf(sandboxes), [{ path: '/run/netns/b' }]);
    assert.equal(sandboxes.endUnlisted(new Set()), true);
  });

  it('are one a pod: its newest', () => {
    const sandboxes = new Sandboxes();
    assert.deepEqual([sandboxes.add(pod('a', 'u')), sandboxes.add(pod('b', 'u'))], [true, true]);
    assert.deepEqual(pathsOf(sandboxes), [{ path: '/run/netns/b' }]);
    assert.equal(sandboxes.remove('a'), true);
    assert.deepEqual(pathsOf(sandboxes), [{ path: '/run/netns/b' }]);
  });

  it('have no place on the node’s own network', () => {
    const sandboxes = new Sandboxes();
    const { netns: _, ...onNode } = pod('a');
    sandboxes.add(onNode);
    assert.deepEqual([sandboxes.has('a'), sandboxes.places()], [true, []]);
  });

  it('are known by name where kubelet made them of a file: the API server has another uid', () => {
    assert.deepEqual(uidOf('u', {}), { uid: 'u' });
    assert.deepEqual(uidOf('u', { 'kubernetes.io/config.source': 'api' }), { uid: 'u' });
    assert.deepEqual(uidOf('u', { 'kubernetes.io/config.source': 'file' }), {});
  });
});
