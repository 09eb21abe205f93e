// The plain manifests in deploy/: that they are the chart's, and that they install and take away what it would.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FILES, manifests } from '../../deploy/manifests.ts';
import { mustRun } from '../lab/command.ts';
import { poll } from '../lab/wait.ts';
import { program, REPOSITORY } from './places.ts';
import { PINS, remove, SYSTEM, untilProgrammed } from './release.ts';
import { apply, cluster, inPod, kube, namespace, onNode, pod, provider, untilPhase } from './under-test.ts';

const SHOP = 'shop';
const WAIT = { timeoutMs: 180_000 };
const RULE = { namespace: SHOP, name: 'closed' };

/** With images that the nodes have. */
const withImages = (file: string): string =>
  readFileSync(file, 'utf8')
    .replaceAll(/image: podwall:\S+/g, 'image: localhost/podwall:dev')
    .replaceAll(/image: quay\.io\/coreos\/etcd:\S+/g, 'image: localhost/etcd:1')
    .replaceAll('imagePullPolicy: IfNotPresent', 'imagePullPolicy: Never');

describe('the plain manifests', () => {
  for (const name of ['podwall', 'uninstall'] as const)
    it(`have in ${name} what the chart has: else run node deploy/manifests.ts`, () => {
      assert.equal(readFileSync(FILES[name], 'utf8'), manifests(program('helm'))[name]);
    });
});

describe('what the plain manifests install', () => {
  before(async () => {
    const certificates = await mustRun([join(REPOSITORY, 'deploy/etcd-certificates'), SYSTEM]);
    const [node = ''] = await provider().nodes(cluster);
    const server = { namespace: SHOP, name: 'server', node, image: 'localhost/agnhost:1', args: ['netexec'] };
    await apply([namespace(SYSTEM), namespace(SHOP), pod(server)]);
    await apply([pod({ namespace: SHOP, name: 'client', node, image: 'localhost/tools:1' })]);
    await kube(['apply', '-f', '-'], { input: certificates.stdout });
    await kube(['apply', '-f', '-'], { input: withImages(FILES.podwall) });
    for (const each of ['statefulset/podwall-etcd', 'deployment/podwall-controller', 'daemonset/podwall-node'])
      await kube(['-n', SYSTEM, 'rollout', 'status', each, '--timeout=170s'], WAIT);
    for (const name of ['server', 'client']) await untilPhase(SHOP, name, 'Running');
  });

  after(() => remove([SHOP]));

  const reaches = async (): Promise<boolean> => {
    const ip = await kube(['-n', SHOP, 'get', 'pod', 'server', '-o', 'jsonpath={.status.podIP}']);
    const url = `http://${ip}:8080/hostname`;
    return (await inPod(SHOP, 'client', 'curl', '-s', '-m', '2', '-o', '/dev/null', url)).code === 0;
  };

  it('enforces a rule', async () => {
    assert.ok(await poll(async () => (await reaches()) || undefined, WAIT));
    const spec = { selector: {}, egress: [{ name: 'nobody', action: 'Deny', to: [{ any: true }] }] };
    await apply([{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: RULE, spec }]);
    await untilProgrammed(RULE);
    assert.equal(await reaches(), false);
  });

  it('is gone, with all that was in force, once uninstalled as the manifest says', async () => {
    await kube(['apply', '-f', '-'], { input: withImages(FILES.uninstall) });
    const job = ['wait', '--for=condition=complete', '--timeout=150s', 'job/podwall-uninstall'];
    await kube(['-n', SYSTEM, ...job], WAIT);
    for (const node of await provider().nodes(cluster))
      assert.notEqual((await onNode(node, 'ls', PINS)).code, 0, `${node} has no pins`);
    assert.ok(await reaches());
    await kube(['delete', '-f', FILES.uninstall, '-f', FILES.podwall], WAIT);
    assert.doesNotMatch(await kube(['get', 'crd', '-o', 'name']), /podwall/);
    assert.equal(await kube(['-n', SYSTEM, 'get', 'daemonsets,deployments,statefulsets,jobs,roles', '-o', 'name']), '');
  });
});
