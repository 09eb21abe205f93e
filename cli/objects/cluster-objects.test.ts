// What is read of a real API server. Skipped, and said so, where none was built.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { customResourceDefinition, DEFINITIONS } from '@podwall/controller/api/crd.ts';
import { describe as nameOf } from '@podwall/controller/api/resources.ts';
import { ApiServerProcess, withoutApiServer } from '@podwall/e2e/api-server.ts';
import { ClusterObjects } from './cluster-objects.ts';

if (withoutApiServer) process.stderr.write(`${withoutApiServer}\n`);

const rule = (name: string, ports: string[]) => ({
  ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: { name, namespace: 'shop' } },
  spec: { selector: {}, ingress: [{ name: 'in', action: 'Allow', ports }] },
});
const OBJECTS = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'a' } } },
  { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } },
  {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } } },
    spec: {
      nodeName: 'n1',
      containers: [{ name: 'main', image: 'none', ports: [{ name: 'http', containerPort: 80 }] }],
    },
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { podSelector: {} },
  },
];

describe('the objects of a cluster', { skip: withoutApiServer !== undefined }, () => {
  let api: ApiServerProcess;
  before(async () => {
    api = await ApiServerProcess.start();
    await apply(...OBJECTS);
  });
  after(() => api?.[Symbol.asyncDispose]());

  const apply = (...items: readonly object[]) =>
    api.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const read = async () => {
    const { resources, leftOut } = await new ClusterObjects(api.kubeconfig).read();
    return {
      names: resources
        .map(nameOf)
        .filter((name) => name === 'Node n1' || name.includes('shop'))
        .sort(),
      leftOut,
      resources,
    };
  };
  const NAMES = ['Namespace shop', 'NetworkPolicy shop/web', 'Node n1', 'Pod shop/web'];

  it('are read where Podwall was never installed', async () => {
    const { names, leftOut, resources } = await read();
    assert.deepEqual(names, NAMES);
    assert.deepEqual(leftOut, [
      'NetworkRule: this cluster does not have the kind',
      'ClusterNetworkRule: this cluster does not have the kind',
    ]);
    const policy = resources.find(({ kind }) => kind === 'NetworkPolicy');
    assert.deepEqual(policy && 'spec' in policy && policy.spec, { podSelector: {}, policyTypes: ['Ingress'] });
  });

  it('are read with Podwall’s own', async () => {
    for (const definition of DEFINITIONS) await apply(customResourceDefinition(definition));
    await api.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
    await apply(rule('good', ['tcp/80']));
    const { names, leftOut } = await read();
    assert.deepEqual(names, [...NAMES, 'NetworkRule shop/good'].sort());
    assert.deepEqual(leftOut, []);
  });

  it('can’t be read once nobody answers: it is said where', async () => {
    await api.stop();
    const message = new RegExp(`^${api.url}: every \\w+ can't be listed: .*ECONNREFUSED.*; or give -f with files$`);
    await assert.rejects(read(), { message });
  });
});
