// The README's rule with real servers: MariaDB, Redis, TLS and DNS in pods; applied, edited, deleted; and its status.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { NetworkRuleStatus } from '@podwall/controller/api/status.ts';
import type { Command, Completed } from '../lab/command.ts';
import { run } from '../lab/command.ts';
import { dnsQuestion } from '../lab/servers/dnsmasq.ts';
import { CREATE_ACCOUNT, mariadbQuery, mariadbServer } from '../lab/servers/mariadb.ts';
import { redisPing } from '../lab/servers/redis.ts';
import { poll, waitFor } from '../lab/wait.ts';
import { kubectl } from './kubectl.ts';
import { conditionOf, install, remove, untilProgrammed } from './release.ts';
import { apply, cluster, kube, namespace, pod, provider, untilPhase } from './under-test.ts';

const SHOP = 'shop';
const RULE = { namespace: SHOP, name: 'checkout' };
const IMAGE = 'localhost/servers:1';
const HOST = 'api.github.com';
const OTHER_NAME = 'orders.example';
const SETTLE_TIMEOUT_MS = 60_000;
const CLIENT_TIMEOUT_MS = 3000;

const shell = (...lines: readonly string[]): readonly string[] => ['sh', '-c', lines.join('\n')];
const database = { data: '/var/lib/mysql', ip: '0.0.0.0', socket: '/tmp/mysql.sock', accounts: '/tmp/accounts.sql' };
const site = `pid /tmp/nginx.pid; error_log stderr; daemon off; user root; events {} http { access_log off; server {
  listen 443 ssl; ssl_certificate /tmp/site.crt; ssl_certificate_key /tmp/site.key; location / { return 200 "hello"; } } }`;

const CERTIFICATE = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -config /tmp/openssl.cnf';

const servers = {
  mysql: shell(`echo "${CREATE_ACCOUNT.trim()}" >/tmp/accounts.sql`, `exec ${mariadbServer(database).join(' ')}`),
  redis: ['redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''],
  web: shell(
    'mkdir -p /var/log/nginx /var/lib/nginx',
    String.raw`printf '[req]\ndistinguished_name=dn\n[dn]\n' >/tmp/openssl.cnf`,
    `openssl req ${CERTIFICATE} -subj /CN=${HOST} -keyout /tmp/site.key -out /tmp/site.crt`,
    `printf '%s' '${site}' >/tmp/nginx.conf`,
    'exec nginx -p /tmp -c /tmp/nginx.conf -e stderr',
  ),
} as const;

const dns = (web: string) => [
  ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--log-facility=-'],
  ...['--no-resolv', '--no-hosts', '--local=/#/', '--local-ttl=60'],
  ...[`--host-record=${HOST},${web}`, `--host-record=${OTHER_NAME},192.0.2.60`],
];

describe('the sample of the README on a cluster', () => {
  const ips = new Map<string, string>();
  const ip = (name: string): string => ips.get(name) ?? assert.fail(`no pod ${name}`);

  before(async () => {
    const [first = '', second = ''] = await provider().nodes(cluster);
    const server = (name: string, command: readonly string[]) =>
      pod({ namespace: SHOP, name, node: second, image: IMAGE, command });
    const client = { namespace: SHOP, name: 'client', node: first, image: IMAGE, labels: { app: 'checkout' } };
    await apply([namespace(SHOP), pod(client), ...Object.entries(servers).map((each) => server(...each))]);
    for (const name of ['client', 'mysql', 'redis', 'web']) await running(name);
    await apply([server('dns', dns(ip('web')))]);
    await running('dns');
    await install({ agent: { resolver: ip('dns') } });
  });

  after(() => remove([SHOP]));

  async function running(name: string): Promise<void> {
    await untilPhase(SHOP, name, 'Running');
    ips.set(name, await kube(['-n', SHOP, 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}']));
  }

  const ask = (command: Command): Promise<Completed> =>
    run(kubectl(cluster, '-n', SHOP, 'exec', 'client', '--', 'timeout', `${CLIENT_TIMEOUT_MS / 1000}`, ...command));

  const curl = ['-sk', '-o', '/dev/null', '-w', '%{http_code}'] as const;
  const questions = {
    mysql: async () => (await ask(mariadbQuery(ip('mysql'), 'SELECT 1'))).stdout.trim() === '1',
    github: async () =>
      (await ask(['curl', ...curl, '--resolve', `${HOST}:443:${ip('web')}`, `https://${HOST}/`])).stdout === '200',
    redis: async () => (await ask(redisPing(ip('redis')))).stdout.trim() === 'PONG',
    dns: async () => (await ask(dnsQuestion(ip('dns'), OTHER_NAME))).stdout.trim() === '192.0.2.60',
    'plain HTTP': async () => (await ask(['curl', ...curl, `http://${ip('web')}:443/`])).stdout === '400',
  };

  const answered = async (): Promise<string[]> => {
    const asked = Object.entries(questions).map(async ([name, isAnswered]) => ((await isAnswered()) ? [name] : []));
    return (await Promise.all(asked)).flat();
  };

  const rule = (mysql: 'Allow' | 'Deny' = 'Allow') => ({
    ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: RULE },
    spec: {
      ...{ selector: { matchLabels: { app: 'checkout' } }, mode: 'Protect', priority: 100, defaultAction: 'Deny' },
      egress: [
        { name: 'mysql', action: mysql, to: [{ ip: ip('mysql') }], ports: ['tcp/3306'] },
        { name: 'github', action: 'Allow', to: [{ fqdn: HOST }], ports: ['tcp/443'], applications: ['HTTPS'] },
        { name: 'redis', action: 'Deny', to: [{ ip: ip('redis') }], ports: ['tcp/6379'] },
      ],
    },
  });

  const status = async (): Promise<NetworkRuleStatus> =>
    JSON.parse(await kube(['-n', SHOP, 'get', 'networkrule', RULE.name, '-o', 'jsonpath={.status}']));

  it('has every question answered while there is no rule', async () => {
    const all = Object.keys(questions);
    const seen = await poll(
      async () => {
        const now = await answered();
        return now.length === all.length ? now : undefined;
      },
      { timeoutMs: SETTLE_TIMEOUT_MS },
    );
    assert.deepEqual(seen ?? (await answered()), all);
  });

  it('has only what the rule allows answered once it is in force', async () => {
    await apply([rule()]);
    await untilProgrammed(RULE);
    await waitFor('the address of the name', async () => (await questions.github()) || undefined, {
      timeoutMs: SETTLE_TIMEOUT_MS,
    });
    assert.deepEqual(await answered(), ['mysql', 'github']);
  });

  it('shows hits and threats in the rule’s status', async () => {
    const wanted = ['redis', 'dns', 'plain HTTP'].length;
    const told = await waitFor(
      'threats in the status',
      async () => {
        const now = await status();
        const hit = now.rules.filter(({ hits }) => hits > 0).map(({ name }) => name);
        const rules = ['mysql', 'github', 'redis'].every((name) => hit.includes(name));
        return rules && now.threats.last.length >= wanted ? now : undefined;
      },
      { timeoutMs: SETTLE_TIMEOUT_MS },
    );
    const seen = told.threats.last.map(({ destination, destinationPort }) => `${destination}:${destinationPort}`);
    for (const each of [`${ip('redis')}:6379`, `${ip('dns')}:53`, `${ip('web')}:443`])
      assert.ok(seen.includes(each), each);
    assert.deepEqual(told.workloads, { desired: 1, programmed: 1 });
    assert.deepEqual(told.problems, []);
  });

  it('prints the columns that people look for', async () => {
    const [head = '', line = ''] = (await kube(['-n', SHOP, 'get', 'networkrules', '-o', 'wide'])).split('\n');
    assert.deepEqual(head.trim().split(/\s+/), [
      ...['NAME', 'MODE', 'WORKLOADS', 'NODES', 'ACCEPTED', 'PROGRAMMED', 'HITS', 'AGE'],
    ]);
    assert.match(line, /^checkout +Protect +1\/1 +1\/1 +True +True +[1-9]\d* +\d+(s|m)/);
  });

  it('tells the first violation as an Event of the rule', async () => {
    const of = ['-o', 'jsonpath={range .items[*]}{.reason}: {.message}{"\\n"}{end}'];
    const fields = `involvedObject.kind=NetworkRule,involvedObject.name=${RULE.name}`;
    const events = await kube(['-n', SHOP, 'get', 'events', '--field-selector', fields, ...of]);
    assert.match(events, /violation/i, events);
  });

  it('puts an edited rule in force', async () => {
    await apply([rule('Deny')]);
    await untilProgrammed(RULE);
    assert.deepEqual(await answered(), ['github']);
    assert.ok((await conditionOf(RULE, 'Accepted'))?.status === 'True');
    await apply([rule()]);
    await untilProgrammed(RULE);
    assert.deepEqual(await answered(), ['mysql', 'github']);
  });

  it('lets everything pass again once the rule is deleted', async () => {
    await kube(['-n', SHOP, 'delete', 'networkrule', RULE.name]);
    const all = Object.keys(questions);
    const seen = await poll(
      async () => {
        const now = await answered();
        return now.length === all.length ? now : undefined;
      },
      { timeoutMs: SETTLE_TIMEOUT_MS },
    );
    assert.ok(seen, (await answered()).join());
  });
});
