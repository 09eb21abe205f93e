// A real resolver (dnsmasq) and a real client (the C library's): each look-up is followed at once by connections.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { rule } from './bpf/rules.ts';
import type { Agent } from './lab/agent.ts';
import { ADD_MAC, policy } from './lab/commands.ts';
import type { DpProcess } from './lab/dp-process.ts';
import { HOST, Lab } from './lab/lab.ts';
import type { FromLookups } from './lab/lookup-end.ts';

const LOOKUPS = 1000;
const PORT = 4433;
const ZONE = 'names.example';
const lab = new Lab();
const servers = new DisposableStack();
after(async () => {
  servers.dispose();
  await lab[Symbol.asyncDispose]();
});

const within = (namespace: string, ...command: string[]): string[] => [`--net=${namespace}`, '--', ...command];
const name = (n: number): string => `h${n}.${ZONE}`;
const ip4 = (n: number): string => `10.79.${n >> 8}.${n & 255}`;
const ip6 = (n: number): string => `fd79::${(n + 1).toString(16)}`;
const resolvConf = join(lab.directory, 'resolv.conf');

function start(...command: string[]): void {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'nsenter', ...within(lab.host, ...command)], {
    stdio: 'ignore',
  });
  servers.defer(() => void child.kill('SIGKILL'));
}

/** In the workload, with dnsmasq as its resolver. */
async function lookUp(...names: string[]): Promise<FromLookups> {
  const script = [process.execPath, `${import.meta.dirname}/lab/lookup-end.ts`, String(PORT), ...names];
  const withResolver = ['unshare', '-m', 'sh', '-c', `mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`, '-'];
  const options = { timeout: 240_000, maxBuffer: 1 << 24 };
  const { stdout } = await promisify(execFile)('nsenter', within(lab.pod, ...withResolver, ...script), options);
  return JSON.parse(stdout);
}

async function untilAnswered(): Promise<void> {
  for (let tries = 0; tries < 50; tries += 1) {
    const query = execFileSync(
      'nsenter',
      within(lab.host, 'sh', '-c', `dig @${HOST.ip} ${name(0)} +short +time=1 +tries=1 || true`),
    );
    if (query.toString().includes(ip4(0))) return;
    await sleep(100);
  }
  throw new Error('dnsmasq does not answer');
}

let dp: DpProcess;
let agent: Agent;
before(async () => {
  writeFileSync(resolvConf, `nameserver ${HOST.ip}\n`);
  const hosts = join(lab.directory, 'hosts');
  const lines = Array.from({ length: LOOKUPS * 2 }, (_, n) => `${ip4(n)} ${name(n)}\n${ip6(n)} ${name(n)}\n`);
  writeFileSync(hosts, lines.join(''));
  for (const words of ['link set lo up', 'route add local 10.79.0.0/16 dev lo', '-6 route add local fd79::/64 dev lo'])
    execFileSync('nsenter', within(lab.host, 'ip', ...words.split(' ')));
  execFileSync('nsenter', within(lab.pod, 'ip', 'route', 'add', 'default', 'via', HOST.ip));
  execFileSync('nsenter', within(lab.pod, 'ip', '-6', 'route', 'add', 'default', 'via', HOST.ip6));
  start(
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--pid-file=',
    '--user=root',
    '--no-resolv',
    '--no-hosts',
    '--local=/#/',
    `--addn-hosts=${hosts}`,
    '--local-ttl=60',
    `--listen-address=${HOST.ip}`,
    '--bind-interfaces',
  );
  start(
    process.execPath,
    '-e',
    `require('node:net').createServer((socket) => socket.on('error', () => {})).listen(${PORT}, '::')`,
  );
  await untilAnswered();
  dp = await lab.start();
  agent = lab.agent();
  await agent.send(ADD_MAC);
  const rules = [
    rule({ id: 1, peer: HOST.ip, ports: 'udp/53' }),
    rule({ id: 2, peer: `fqdn:*.${ZONE}`, ports: `tcp/${PORT}` }),
    rule({ id: 3, peer: `fqdn:*.${ZONE}`, ports: `tcp/${PORT}`, family: 6 }),
  ];
  await agent.ask(policy(rules, { dir: 2 }), 'policyRealized');
});

const list = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => name(from + i));
async function dumped(what: RegExp): Promise<string> {
  dp.signal('SIGUSR1');
  return dp.said(what);
}

describe(`${LOOKUPS} look-ups by the C library, each followed at once by connections to all that it is told`, () => {
  it('open nothing where dp was told of no resolver', async () => {
    const { addresses, refused } = await lookUp(...list(LOOKUPS, 8));
    assert.deepEqual([addresses, refused.length], [16, 16]);
  });
  it('find every address open, with no packet dropped', async () => {
    await agent.send({ ctrl_sys_conf: { resolvers: [HOST.ip] } });
    await agent.settled();
    const before = await dumped(/dropped: (\d+) packets, policy/);
    const { addresses, refused } = await lookUp(...list(0, LOOKUPS));
    assert.deepEqual([addresses, refused], [2 * LOOKUPS, []]);
    assert.equal(await dumped(/dropped: (\d+) packets, policy/), before);
    const { addresses: told, name: of } = await agent.next('fqdnUpdate', (report) => report.addresses.length > 0);
    assert.equal(of, `*.${ZONE}`);
    assert.ok(told.every(({ seconds }) => seconds > 0 && seconds <= 61));
  });
  it('leave addresses closed that nobody looked up', async () => {
    const others = Array.from({ length: 8 }, (_, i) => [ip4(LOOKUPS + 100 + i), ip6(LOOKUPS + 100 + i)]).flat();
    const { refused } = await lookUp(...others);
    assert.equal(refused.length, others.length);
  });
  it('go on counting while dp is away, and are known to the next one', async () => {
    await dp.stop('SIGKILL');
    assert.deepEqual((await lookUp(...list(LOOKUPS + 200, 50))).refused, []);
    dp = await lab.start();
    assert.deepEqual((await lookUp(ip4(LOOKUPS + 200), ip6(LOOKUPS + 249))).refused, []);
    await dumped(new RegExp(`resolvers: ${HOST.ip}`));
  });
});
