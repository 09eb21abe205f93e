// podwall-dp as a process: its options, its socket and its pins, how it stops, and what it prints.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import { rule } from './bpf/rules.ts';
import { ADD_MAC, policy } from './lab/commands.ts';
import { DpProcess } from './lab/dp-process.ts';
import { Lab } from './lab/lab.ts';
import { sendLarge } from './lab/large.ts';
import { ERROR_CODE } from './protocol/reports.ts';

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

/** Runs it to its end. */
async function run(...options: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/main.ts`, ...options], {
    env: { ...process.env, NODE_COMPILE_CACHE: `${lab.directory}/compiled` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { status: child.exitCode, stdout, stderr };
}

describe('the command line', { concurrency: true }, () => {
  it('--help lists every option and ends with 0', async () => {
    const { status, stdout, stderr } = await run('--help');
    assert.equal(status, 0);
    for (const option of [
      '--standalone',
      '-d ',
      '--listen',
      '--notify',
      '--pin',
      '--flows',
      '--metrics',
      '--detach',
      '--help',
      '--version',
      'SIGUSR1',
    ])
      assert.ok(stdout.includes(option), option);
    assert.equal(stderr, '');
  });
  it('--version says which', async () => {
    const { status, stdout } = await run('-V');
    assert.equal(status, 0);
    assert.match(stdout, /^podwall-dp \d+\.\d+\.\d+\n$/);
  });
  const mistakes: readonly [options: string[], message: RegExp][] = [
    [['--lisen', '/x'], /'--lisen'/],
    [['--listen'], /--listen/],
    [['extra'], /extra/],
    [['-d', 'everything'], /-d everything: everything: categories are all, ctrl, packet/],
    [['-d', 'ctrl,polcy'], /polcy/],
    [['--flows', '4095'], /--flows 4095: use a number from 4096 to 16777216/],
    [['--flows', '16777217'], /--flows 16777217: use a number/],
    [['--flows', '1e6'], /--flows 1e6: use a number/],
    [['--metrics', 'localhost:9472'], /--metrics localhost:9472: use a port, as 9470/],
  ];
  for (const [options, message] of mistakes)
    it(`is refused with 2 and a word on what is wrong: ${options.join(' ')}`, async () => {
      const { status, stdout, stderr } = await run(...options);
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.match(stderr, /podwall-dp --help/);
      assert.equal(stdout, '');
    });
});

describe('--listen', () => {
  /** A dp that must not start. */
  async function refused(...options: string[]): Promise<string> {
    await using dp = new DpProcess(lab, [...lab.options, ...options]);
    assert.deepEqual(await dp.ended(), { code: 1, signal: null });
    assert.equal(dp.output, '');
    return dp.errors;
  }
  const place = (name: string) => `${lab.directory}/${name}`;

  it('on a file is refused, and the file stays', async () => {
    writeFileSync(place('file'), 'mine');
    assert.match(await refused('--listen', place('file')), /--listen .*file: something that is no socket is there/);
    assert.ok(existsSync(place('file')));
    assert.deepEqual(readdirSync(lab.pin), [], 'nothing was put in the kernel');
  });
  it('on a link is refused, wherever it leads', async () => {
    symlinkSync(place('nowhere'), place('link'));
    assert.match(await refused('--listen', place('link')), /something that is no socket is there/);
    assert.ok(!existsSync(place('nowhere')));
    assert.ok(lstatSync(place('link')).isSymbolicLink());
  });
  it('on a socket that another dp reads is refused, and that one goes on', async () => {
    await using dp = await lab.start();
    await using client = lab.client();
    assert.match(await refused('--pin', `${lab.pin}/other`), /another dp reads this socket/);
    await client.settled();
    await dp.stop();
  });
  it('on a socket that a stream server listens on is refused, and that one goes on', async () => {
    await using server = createServer().listen(place('stream'));
    await once(server, 'listening');
    assert.match(
      await refused('--listen', place('stream')),
      /--listen .*stream: another process listens on this socket/,
    );
    assert.ok(existsSync(place('stream')));
  });
  it('in a folder that is not there is refused', async () => {
    assert.match(await refused('--listen', place('no/such/folder.sock')), /--listen .*folder\.sock: bind: ENOENT/);
  });
  it('with a path longer than a socket can have is refused', async () => {
    assert.match(await refused('--listen', place('x'.repeat(120))), /a socket's path has 107 at most/);
  });
  it('makes a socket that only its owner may send to', async () => {
    await using dp = await lab.start();
    assert.equal(lstatSync(lab.listen).mode & 0o777, 0o600);
    await dp.stop();
  });
  it('takes the place of a socket that a dp left which was killed', async () => {
    await using killed = await lab.start();
    await killed.stop('SIGKILL');
    assert.ok(existsSync(lab.listen));
    await using dp = await lab.start();
    await using client = lab.client();
    await client.settled();
    await dp.stop();
  });
});

describe('--pin', () => {
  it('of another dp is refused', async () => {
    await using dp = await lab.start();
    await using second = new DpProcess(lab, [...lab.options, '--listen', `${lab.directory}/second.sock`]);
    assert.equal((await second.ended()).code, 1);
    assert.match(second.errors, /--pin .*: another dp works with this folder/);
    await dp.stop();
  });
  it('outside a BPF file system is refused', async () => {
    await using dp = new DpProcess(lab, [...lab.options, '--pin', `${lab.directory}/pins`]);
    assert.equal((await dp.ended()).code, 1);
    assert.match(dp.errors, /--pin .*: .* is not on a BPF file system; use a folder below \/sys\/fs\/bpf/);
  });
});

describe('dp', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    it(`ends with 0 by ${signal}, takes its socket away, and leaves its pins`, async () => {
      await using dp = await lab.start();
      assert.deepEqual(await dp.stop(signal), { code: 0, signal: null });
      assert.ok(!existsSync(lab.listen));
      assert.ok(readdirSync(`${lab.pin}/in-force`).includes('endpoints'));
      assert.match(dp.output, /dp stops; what it put in force goes on/);
    });
  it('prints its workloads, their rules and the names by SIGUSR1', async () => {
    await using dp = await lab.start();
    await using client = lab.client();
    await client.send(ADD_MAC);
    const rules = [
      rule({ id: 1001, peer: '10.77.0.1', ports: 'tcp/443' }),
      rule({ id: 1002, peer: 'fqdn:api.example.com', ports: 'tcp/8000-8100', apps: { HTTPS: 1 } }),
      rule({ id: 1003, direction: 'ingress', peer: '10.0.0.0-10.0.0.255', ports: 'icmp', action: 2 }),
    ];
    await client.ask(policy(rules), 'policyRealized');
    await client.send({ ctrl_cfg_set_fqdn: { fqdn_name: 'api.example.com', fqdn_ips: ['192.0.2.1'] } });
    await client.settled();
    dp.signal('SIGUSR1');
    const dump = await dp.said(/\d workloads[\s\S]*names\n.*\n/);
    assert.match(
      dump,
      /^1 workloads\n {2}02:00:00:00:77:05 on veth0 \(interface \d+\), epoch \d+: default deny, both directions, 3 rules\n/,
    );
    assert.match(dump, /\n {4}1001 egress 0\.0\.0\.0-255\.255\.255\.255 -> 10\.77\.0\.1 tcp\/443: open\n/);
    assert.match(
      dump,
      /\n {4}1002 egress 0\.0\.0\.0-255\.255\.255\.255 -> api\.example\.com tcp\/8000-8100: HTTPS open\n/,
    );
    assert.match(dump, /\n {4}1003 ingress 10\.0\.0\.0-10\.0\.0\.255 -> 0\.0\.0\.0-255\.255\.255\.255 icmp: deny\n/);
    assert.match(dump, /\n1 names\n {2}api\.example\.com \(id 1\): 192\.0\.2\.1\n$/);
    await client.settled();
    await dp.stop();
  });
  it('has room for as many flows as --flows says, and for a quarter as many denied ones', async () => {
    await using dp = await lab.start('--pin', `${lab.pin}-flows`, '--flows', '5000');
    dp.signal('SIGUSR1');
    await dp.said(/room for 5000 flows, and for 1250 denied ones\n/);
    await dp.stop();
    assert.deepEqual(await run('--detach', '--pin', `${lab.pin}-flows`), { status: 0, stdout: '', stderr: '' });
  });
  it('keeps running with nobody at --notify, and an agent that comes later gets the reports', async () => {
    await using dp = await lab.start();
    await using client = lab.client();
    await client.settled();
    await using agent = lab.agent();
    await agent.ask({ ctrl_nonsense: {} }, 'error');
    await dp.stop();
  });
  it('says how many reports were lost while the agent was away too long', async () => {
    await using dp = await lab.start();
    sendLarge(lab.listen, '{"ctrl_keep_alive": {"seq_num": 1}}', 5000);
    await using agent = lab.agent();
    const { text: words } = await agent.next('error', ({ code }) => code === ERROR_CODE.reportsLost);
    assert.match(words, /^\d+ reports lost in the last 2 s: there were more than can be sent$/);
    assert.ok(Number.parseInt(words, 10) > 0);
    await dp.said('reports lost');
    await dp.stop();
  });
});

describe('--detach', () => {
  it('takes the programs off and leaves nothing behind', async () => {
    await using dp = await lab.start();
    await using client = lab.client();
    await client.send(ADD_MAC);
    await client.ask(policy([]), 'policyRealized');
    await dp.stop();
    assert.equal(readdirSync(`${lab.pin}/links`).length, 2);
    await using detach = new DpProcess(lab, [...lab.options, '--detach']);
    assert.deepEqual(await detach.ended(), { code: 0, signal: null });
    assert.ok(!existsSync(lab.pin));
    await using traffic = await lab.traffic();
    assert.ok(await traffic.out(7001));
  });
  it('is refused while a dp works with the folder', async () => {
    await using dp = await lab.start();
    await using detach = new DpProcess(lab, [...lab.options, '--detach']);
    assert.equal((await detach.ended()).code, 1);
    assert.match(detach.errors, /another dp works with this folder/);
    await dp.stop();
  });
  it('where there is nothing is no mistake', async () => {
    await using detach = new DpProcess(lab, [...lab.options, '--pin', `${lab.pin}/never`, '--detach']);
    assert.deepEqual(await detach.ended(), { code: 0, signal: null });
    assert.ok(!existsSync(`${lab.pin}/never`));
  });
});
