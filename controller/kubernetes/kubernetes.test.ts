// The controller on a real API server and a real etcd. Skipped, and said so, where no API server was built.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ApiServerProcess, withoutApiServer } from '@podwall/e2e/api-server.ts';
import { Etcd } from '@podwall/e2e/etcd.ts';
import { customResourceDefinition, DEFINITIONS } from '../api/crd.ts';
import { keys, ROOT } from '../api/keyspace.ts';
import type { NetworkRuleStatus } from '../api/status.ts';
import { ControllerProcess, until } from '../controller-process.ts';
import { EtcdSession } from '../etcd/session.ts';

if (withoutApiServer) process.stderr.write(`${withoutApiServer}\n`);

const rule = (name: string, spec: object) => ({
  ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: { name, namespace: 'shop' } },
  spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
});
const toDb = (port: string) => ({
  egress: [{ name: 'db', action: 'Allow', to: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [port] }],
});
const pod = (name: string, app: string) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', labels: { app } } },
  spec: {
    nodeName: 'n1',
    containers: [{ name: 'main', image: 'none', ports: [{ name: 'sql', containerPort: 3306 }] }],
  },
});

describe('the controller on an API server', { skip: withoutApiServer !== undefined }, () => {
  let api: ApiServerProcess;
  let etcd: Etcd;

  before(async () => {
    api = await ApiServerProcess.start();
    for (const definition of DEFINITIONS) await apply(customResourceDefinition(definition));
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
    await until(() =>
      api.kubectl(['get', 'networkrules,clusternetworkrules', '-A']).then(
        () => true,
        () => false,
      ),
    );
  });
  after(async () => {
    await api?.[Symbol.asyncDispose]();
    await etcd?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await etcd?.[Symbol.asyncDispose]();
    etcd = await Etcd.start();
    await api.kubectl(['delete', 'networkrules', '--all', '-n', 'shop']);
    await api.kubectl(['delete', 'pods', '--all', '-n', 'shop', '--force']);
    await api.kubectl(['delete', 'leases', '--all', '-n', 'default']);
  });

  const apply = (...objects: readonly object[]) =>
    api.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  const start = (identity: string) => ControllerProcess.startOn(etcd.url, api.kubeconfig, identity);
  const read = async (what: string, name: string) =>
    JSON.parse(await api.kubectl(['get', what, name, '-n', 'shop', '-o', 'json']));
  const statusOf = async (name: string): Promise<NetworkRuleStatus | undefined> =>
    (await read('networkrule', name)).status;
  const conditionOf = async (name: string, type: string) =>
    (await statusOf(name))?.conditions.find((condition) => condition.type === type);
  const setIp = (name: string, ip: string) =>
    api.kubectl([
      ...['patch', 'pod', name, '-n', 'shop', '--subresource', 'status', '--type', 'merge', '-p'],
      JSON.stringify({ status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] } }),
    ]);
  const entries = async (): Promise<ReadonlyMap<string, { value: string; revision: bigint }>> => {
    using session = new EtcdSession({ url: etcd.url });
    return (await session.list(ROOT)).entries;
  };
  const published = async (name: string) => {
    const rules = [...(await entries())].filter(([key]) => key.startsWith(keys.rulesPrefix));
    return rules.map(([, { value }]) => JSON.parse(value)).find((resource) => resource.name === name);
  };
  const portsOf = async (name: string): Promise<string | undefined> => (await published(name))?.rules[0]?.ports;
  const leader = async () => JSON.parse((await entries()).get(keys.leader)?.value ?? '{}').holder as string | undefined;

  it('publishes rules, workloads and groups, and shows in the status what agents report', async () => {
    await apply(rule('web', toDb('sql')), pod('web-1', 'web'), pod('db-1', 'db'));
    await setIp('db-1', '10.0.0.7');
    await using _controller = await start('a');
    await until(async () => (await conditionOf('web', 'Programmed'))?.reason === 'AgentSilent');
    const uid: string = (await read('pod', 'web-1')).metadata.uid;
    const { generation, uid: ruleUid } = (await read('networkrule', 'web')).metadata;
    const held = await entries();
    assert.deepEqual(JSON.parse(held.get(keys.workload('n1', uid))?.value ?? '').resources, [ruleUid]);
    const groups = [...held].filter(([key]) => key.startsWith(keys.groupsPrefix));
    assert.deepEqual(
      groups.map(([, { value }]) => JSON.parse(value)),
      [{ ips: ['10.0.0.7'], ports: { sql: [{ protocol: 'tcp', port: 3306 }] } }],
    );

    using session = new EtcdSession({ url: etcd.url });
    const report = { uid, namespace: 'shop', name: 'web-1', mac: '02:00:00:00:00:01', ips: ['10.0.0.6'] };
    const agent = { node: 'n1', time: new Date().toISOString(), dp: 'connected', errors: [], reportsLost: 0 };
    const hits = { uid: ruleUid, rules: { db: { hits: 41, lastHit: new Date().toISOString() } } };
    await session.write(
      [
        [keys.agentReport('n1'), agent],
        [keys.workloadReport('n1', uid), { ...report, realized: { [ruleUid]: generation } }],
        [keys.hitsReport('n1', ruleUid), hits],
      ].map(([key, value]) => ({ kind: 'put', key: String(key), value: JSON.stringify(value) })),
    );
    await until(async () => (await conditionOf('web', 'Programmed'))?.status === 'True');
    const shown = await until(async () => {
      const table = await api.kubectl(['get', 'networkrules', '-n', 'shop', '-o', 'wide', '--no-headers']);
      return table.includes(' 41 ') && table.trim();
    });
    assert.match(shown, /^web +Protect +1\/1 +1\/1 +True +True +41 +\d+s$/);
    const events = await until(async () => {
      const text = await api.kubectl([
        'get',
        'events',
        '-n',
        'shop',
        '--field-selector',
        `involvedObject.uid=${ruleUid}`,
      ]);
      return text.includes('Programmed') && text;
    });
    assert.match(events, /Warning +AgentSilent +networkrule\/web +The agent does not report on node n1\./);
    assert.match(events, /Normal +Programmed +networkrule\/web +In force for 1 pod on 1 node\./);

    await session.write([{ kind: 'delete', key: keys.agentReport('n1') }]);
    const silent = await until(async () => {
      const condition = await conditionOf('web', 'Programmed');
      return condition?.status === 'Unknown' && condition;
    });
    assert.equal(silent.message, 'The agent does not report on node n1.');
  });

  it('says in the status what only it can see: a port that no pod has, a name on ingress', async () => {
    const named = { ingress: [{ name: 'in', action: 'Allow', from: [{ fqdn: 'a.example.com' }] }] };
    await apply(pod('web-1', 'web'), pod('db-1', 'db'), rule('port', toDb('http')), rule('name', named));
    await setIp('db-1', '10.0.0.7');
    await using _controller = await start('a');
    const port = await until(async () => conditionOf('port', 'Accepted'));
    assert.deepEqual([port.status, port.reason], ['False', 'UnknownPort']);
    assert.match(
      port.message,
      /^egress rule db: none of the pods that it names as peers has a container port named "http"$/,
    );
    const name = await until(async () => conditionOf('name', 'Accepted'));
    assert.deepEqual([name.status, name.reason], ['False', 'Invalid']);
    assert.match(name.message, /spec\.ingress\[0\]\.from\[0\]\.fqdn: is for egress only/);
    assert.equal((await published('port')).rules.length, 1);
    assert.equal(await published('name'), undefined);
  });

  it('takes over what changed while the API server was away, and withdraws nothing meanwhile', async () => {
    await apply(rule('web', toDb('tcp/80')), rule('other', toDb('tcp/1')), pod('web-1', 'web'));
    await using controller = await start('a');
    await until(async () => (await portsOf('web')) === 'tcp/80' && (await portsOf('other')) === 'tcp/1');
    await api.stop();
    await until(() => controller.events('API server unavailable, trying on')[0]);
    assert.equal(await portsOf('web'), 'tcp/80');
    await api.restart();
    await apply(rule('web', toDb('tcp/81')));
    await api.kubectl(['delete', 'networkrule', 'other', '-n', 'shop']);
    await until(async () => (await portsOf('web')) === 'tcp/81' && (await published('other')) === undefined);
    assert.deepEqual(await controller.stop().then(({ code }) => code), 0);
  });

  it('leaves the writing to one leader; another takes over from one that is killed', async () => {
    await apply(rule('web', toDb('tcp/80')), pod('web-1', 'web'));
    await using a = await start('a');
    await until(async () => (await leader())?.startsWith('a_'));
    await using b = await start('b');
    await until(() => b.events('cluster listed')[0]);
    await apply(rule('web', toDb('tcp/81')));
    await until(async () => (await portsOf('web')) === 'tcp/81');
    assert.deepEqual(b.events('published'), []);
    await a.stop('SIGKILL');
    await apply(rule('web', toDb('tcp/82')));
    await until(async () => (await portsOf('web')) === 'tcp/82');
    assert.ok((await leader())?.startsWith('b_'));
    await b.stop(); // gives the lease up
    const lease = JSON.parse(await api.kubectl(['get', 'lease', 'podwall-controller', '-n', 'default', '-o', 'json']));
    assert.equal(lease.spec.holderIdentity ?? '', '');
  });

  it('keeps a leader that hung and woke up from writing over the next one', async () => {
    await apply(rule('web', toDb('tcp/80')), pod('web-1', 'web'));
    await using a = await start('a');
    await until(async () => (await leader())?.startsWith('a_'));
    await using b = await start('b');
    await until(() => b.events('cluster listed')[0]);
    process.kill(a.pid ?? 0, 'SIGSTOP');
    await apply(rule('web', toDb('tcp/81')));
    await until(async () => (await portsOf('web')) === 'tcp/81');
    assert.ok((await leader())?.startsWith('b_'));
    const before = await entries();
    process.kill(a.pid ?? 0, 'SIGCONT');
    await until(() => a.events('leading no more')[0]);
    await apply(rule('web', toDb('tcp/82')));
    await until(async () => (await portsOf('web')) === 'tcp/82');
    assert.deepEqual(
      a.events('published').map(({ generation }) => generation),
      [1],
    );
    assert.ok((await leader())?.startsWith('b_'));
    const differing = [...(await entries())].filter(([key, { revision }]) => before.get(key)?.revision !== revision);
    assert.deepEqual(
      differing.map(([key]) => key.slice(0, keys.rulesPrefix.length)),
      [keys.rulesPrefix],
    );
  });
});
