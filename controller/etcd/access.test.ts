// Who may do what in an etcd that tells clients apart by their certificates.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Etcd } from '@podwall/e2e/etcd.ts';
import { CLIENT, certify, SERVER } from '@podwall/e2e/lab/certificate.ts';
import { keys, ROOT } from '../api/keyspace.ts';
import { ControllerProcess, until } from '../controller-process.ts';
import { AGENT_USER, CONTROLLER_USER } from './access.ts';
import { EtcdSession } from './session.ts';

const RULE = `
apiVersion: podwall.io/v1alpha1
kind: NetworkRule
metadata: {name: web, namespace: shop, uid: web}
spec: {selector: {}, egress: [{name: any, action: Allow}]}
`;
const DENIED = /PERMISSION_DENIED|permission denied/;

describe('an etcd with TLS, once a controller was there', () => {
  let folder: string;
  let etcd: Etcd;
  let controller: ControllerProcess;
  const file = (name: string) => join(folder, name);
  const controllerOptions = () => [
    ...['--etcd-ca', file('ca.crt'), '--etcd-cert', file('controller.crt'), '--etcd-key', file('controller.key')],
    '--etcd-grant',
  ];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podwall-access-'));
    const sign = (name: string, subject: string, extensions: readonly string[], authority = 'ca') =>
      certify(folder, { name, subject: `/CN=${subject}`, extensions, authority }, {});
    await certify(folder, { name: 'ca', subject: '/CN=test', extensions: [] }, {});
    await certify(folder, { name: 'other-ca', subject: '/CN=other', extensions: [] }, {});
    await sign('server', 'etcd', [...SERVER, 'subjectAltName=IP:127.0.0.1']);
    await sign('controller', CONTROLLER_USER, CLIENT);
    await sign('agent', AGENT_USER, CLIENT);
    await sign('stranger', 'somebody', CLIENT);
    await sign('forged', CONTROLLER_USER, CLIENT, 'other-ca');
    etcd = await Etcd.start({ tls: { ca: file('ca.crt'), cert: file('server.crt'), key: file('server.key') } });
    controller = await ControllerProcess.start(etcd.url, { 'web.yaml': RULE }, controllerOptions());
    await until(() => controller.events('published').length > 0);
  });
  after(async () => {
    await controller?.[Symbol.asyncDispose]();
    await etcd?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function sessionOf(name: string): Promise<EtcdSession> {
    const [rootCertificate, certChain, privateKey] = await Promise.all(
      ['ca.crt', `${name}.crt`, `${name}.key`].map((each) => readFile(file(each))),
    );
    if (!(rootCertificate && certChain && privateKey)) throw new Error('three files were read');
    return new EtcdSession({ url: etcd.url, credentials: { rootCertificate, certChain, privateKey } });
  }
  const put = (key: string) => [{ kind: 'put', key, value: '{}' }] as const;

  it('lets an agent read what is published, and write reports', async () => {
    using agent = await sessionOf('agent');
    assert.ok((await agent.list(keys.rulesPrefix)).entries.has(keys.rules('web')));
    for (const prefix of [keys.groupsPrefix, keys.nodesPrefix]) await agent.list(prefix);
    await agent.write(put(keys.agentReport('n1')));
    assert.equal((await agent.list(keys.reportsPrefix)).entries.size, 1);
  });

  const forbidden = [keys.rules('web'), keys.groupMember('a', 'b'), keys.workload('n1', 'a'), `${ROOT}other`, 'other'];
  for (const key of forbidden)
    it(`lets no agent write ${key}`, async () => {
      using agent = await sessionOf('agent');
      await assert.rejects(agent.write(put(key)), DENIED);
      await assert.rejects(agent.write([{ kind: 'delete', key }]), DENIED);
    });

  it('lets an agent read nothing else', async () => {
    using agent = await sessionOf('agent');
    await assert.rejects(agent.list(`${ROOT}other`), DENIED);
  });

  it('lets nobody in who is unknown, or known to another authority', async () => {
    using stranger = await sessionOf('stranger');
    await assert.rejects(stranger.list(keys.rulesPrefix), DENIED);
    using forged = await sessionOf('forged');
    await assert.rejects(forged.list(keys.rulesPrefix));
    using bare = new EtcdSession({ url: etcd.url.replace('https', 'http') });
    await assert.rejects(bare.list(keys.rulesPrefix));
  });

  it('is told again once it was wiped', async () => {
    await etcd.wipe();
    await etcd.restart();
    await until(() => controller.events('etcd connected').length > 1);
    using agent = await sessionOf('agent');
    await until(async () => (await agent.list(keys.rulesPrefix)).entries.has(keys.rules('web')));
    await assert.rejects(agent.write(put(keys.rules('web'))), DENIED);
  });
});
