// Labs on real namespaces: what can reach what, and that nothing outlives them. Needs root.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Command } from './command.ts';
import { LabError } from './failure.ts';
import { Lab } from './lab.ts';
import { existingLabs, removeAbandonedLabs, removeKeptLab } from './removal.ts';
import { waitFor } from './wait.ts';

const WORKLOAD = { name: 'pod', ip: '192.168.1.100', mac: 'aa:bb:cc:dd:ee:ff', hostInterface: 'veth-pod' };
const PEER = { name: 'peer', ips: ['10.20.30.40', '10.20.30.41'] };
const SLEEP: Command = ['sleep', '600'];

/** Answers every datagram with where it came from. */
const echo = (ip: string): Command => [
  'python3',
  '-c',
  `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('${ip}', 7))
while True:
    _, client = s.recvfrom(100)
    s.sendto(client[0].encode(), client)
`,
];

const asking = (ip: string): Command => [
  'python3',
  '-c',
  `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.1)
s.connect(('${ip}', 7))
for _ in range(100):
    try:
        s.send(b'?')
        print(s.recv(100).decode())
        break
    except (TimeoutError, ConnectionRefusedError):
        pass
`,
];

const isRunning = (pid: number | undefined): boolean => existsSync(`/proc/${pid}`);

describe('a lab', () => {
  it('routes between a workload and every address of a peer, without changing the source', async () => {
    await using lab = await Lab.create();
    const workload = await lab.addWorkload(WORKLOAD);
    const peer = await lab.addPeer(PEER);
    for (const ip of PEER.ips) await lab.start(`echo-${ip}`, peer, echo(ip));
    for (const ip of PEER.ips) assert.equal((await lab.run(workload, asking(ip))).stdout.trim(), WORKLOAD.ip);
  });

  it('has no way out: its node knows no route but those to its own namespaces', async () => {
    await using lab = await Lab.create();
    await lab.addWorkload(WORKLOAD);
    const { stdout } = await lab.run(lab.node, ['ip', 'route', 'show']);
    assert.deepEqual(stdout.trim().split(/\s+/).slice(0, 3), [WORKLOAD.ip, 'dev', WORKLOAD.hostInterface]);
    const elsewhere = await lab.run(lab.node, ['ip', 'route', 'get', '9.9.9.9']);
    assert.match(elsewhere.stderr, /unreachable/);
  });

  it('takes its processes, namespaces and files with it, whatever they do about SIGTERM', async () => {
    const lab = await Lab.create();
    const obedient = await lab.start('obedient', lab.node, SLEEP);
    const stubborn = await lab.start('stubborn', lab.node, [
      'sh',
      '-c',
      'trap "" TERM; echo deaf; while :; do sleep 1; done',
    ]);
    await waitFor('the trap', async () => (await stubborn.log()).includes('deaf') || undefined, { timeoutMs: 5000 });
    const pids = [obedient.pid, stubborn.pid];
    assert.deepEqual(pids.map(isRunning), [true, true]);
    await lab[Symbol.asyncDispose]();
    assert.deepEqual(pids.map(isRunning), [false, false]);
    assert.ok(!(await existingLabs()).includes(lab.id));
    assert.ok(!existsSync(lab.directory));
  });

  it('ends what it runs, and throws, once its signal is aborted', async () => {
    const end = new AbortController();
    await using lab = await Lab.create(end.signal);
    const running = lab.run(lab.node, SLEEP);
    end.abort(new Error('enough'));
    await assert.rejects(running, /enough/);
    await assert.rejects(lab.start('late', lab.node, SLEEP), /enough/);
  });

  it('aborts everything, with the end of the log, when a process ends unasked', async () => {
    await using lab = await Lab.create();
    const running = lab.run(lab.node, SLEEP);
    await lab.start('feeble', lab.node, ['sh', '-c', 'echo no more; exit 3']);
    await assert.rejects(running, { code: 'ProcessEnded', message: /feeble has ended.*no more/s });
  });

  it('can stop a process and start it again', async () => {
    await using lab = await Lab.create();
    const sleeper = await lab.start('sleeper', lab.node, SLEEP);
    const first = sleeper.pid;
    await sleeper.stop('SIGKILL');
    assert.ok(!isRunning(first));
    await sleeper.start();
    assert.ok(isRunning(sleeper.pid));
    lab.signal.throwIfAborted();
  });

  it('stays when it is kept, and goes when it is named', async () => {
    const lab = await Lab.create();
    const { pid } = await lab.start('sleeper', lab.node, SLEEP);
    await lab.keep();
    await lab[Symbol.asyncDispose]();
    assert.ok(isRunning(pid));
    await removeAbandonedLabs();
    assert.ok(isRunning(pid));
    await removeKeptLab(lab.id);
    assert.ok(!(await existingLabs()).includes(lab.id));
    await assert.rejects(removeKeptLab(lab.id), { code: 'NoSuchLab' });
  });

  it('that is in use is neither removed by its name nor offered for it', async () => {
    await using used = await Lab.create();
    const kept = await Lab.create();
    await kept.keep();
    const refused = await removeKeptLab(used.id).catch((error: unknown) => error);
    await removeKeptLab(kept.id);
    assert.ok(refused instanceof LabError && refused.code === 'NoSuchLab');
    const [, offered = ''] = refused.message.split(': ');
    assert.deepEqual(
      [used, kept].map(({ id }) => offered.split(', ').includes(id)),
      [false, true],
    );
    assert.ok(existsSync(used.directory));
  });

  it('is removed by a later run if its maker was killed', async () => {
    const script = `
      const { Lab } = await import('${import.meta.dirname}/lab.ts');
      const lab = await Lab.create();
      await lab.start('sleeper', lab.node, ['sleep', '600']);
      console.log(lab.id);
      setInterval(() => undefined, 1000);`;
    const maker = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [data] = (await once(maker.stdout, 'data')) as [Buffer];
    const id = data.toString().trim();
    maker.kill('SIGKILL');
    await once(maker, 'exit');
    assert.ok((await existingLabs()).includes(id));
    assert.ok((await removeAbandonedLabs()).includes(id));
    assert.ok(!(await existingLabs()).includes(id));
  });
});
