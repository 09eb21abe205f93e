// A netfilter queue in a workload's namespace: real packets, which dp decides on by the reference classifier.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { rule } from '../bpf/rules.ts';
import type { Agent } from '../lab/agent.ts';
import { CONTROL_RULES, policy } from '../lab/commands.ts';
import { DpProcess } from '../lab/dp-process.ts';
import { HOST, Lab, WORKLOAD } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic.ts';
import { unpackAddress } from '../protocol/address.ts';
import { ERROR_CODE, THREAT_FLAG } from '../protocol/reports.ts';
import { ACTION } from '../protocol/values.ts';

const { mac: MAC } = WORKLOAD;
const IFACE = 'eth0';
const QUEUE = 7;
const RULES = [
  ...CONTROL_RULES,
  rule({ id: 1001, ports: 'udp/7001' }),
  rule({ id: 1002, ports: 'udp/7002', direction: 'ingress' }),
  rule({ id: 1003, ports: 'tcp/7443' }),
];
const AS_RULES = [true, false, false, true];
const ALL_PASS = [true, true, true, true];

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
const port = (more: object = {}) => ({ netns: lab.pod, iface: IFACE, ...more });
const ADD = { ctrl_add_nfq_port: port({ qnum: QUEUE, epmac: MAC, jumboframe: true }) };

let dp: DpProcess;
let agent: Agent;
let traffic: Traffic;
before(async () => {
  dp = await lab.start();
  agent = lab.agent();
  traffic = await lab.traffic();
});

async function enforce(rules = RULES, more: object = {}): Promise<void> {
  await agent.send(ADD);
  await agent.ask(policy(rules, more), 'policyRealized');
}

async function send(command: object): Promise<void> {
  await agent.send(command);
  await agent.settled();
}

const inPod = (...words: string[]) => spawnSync('nsenter', [`--net=${lab.pod}`, '--', ...words], { encoding: 'utf8' });
/** The lines about our chains, of both families. */
const chains = (): string[] =>
  ['iptables', 'ip6tables'].flatMap((family) =>
    inPod(family, '-t', 'mangle', '-S')
      .stdout.split('\n')
      .filter((line) => line.includes('PODWALL')),
  );
const CLOSED = [
  '-N PODWALL-NFQ-7',
  '-A PREROUTING -i eth0 -j PODWALL-NFQ-7',
  '-A POSTROUTING -o eth0 -j PODWALL-NFQ-7',
  '-A PODWALL-NFQ-7 -j NFQUEUE --queue-num 7',
];
const OPEN = CLOSED.map((line) => (line.endsWith('queue-num 7') ? `${line} --queue-bypass` : line));

describe('a queue', () => {
  it('lets all pass, also without dp, while its workload has no policy', async () => {
    await send(ADD);
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    assert.deepEqual(chains(), [...OPEN, ...OPEN]);
  });
  it('drops what the policy denies, and nothing else, in both directions', async () => {
    await enforce();
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
    assert.deepEqual(chains(), [...CLOSED, ...CLOSED]);
  });
  it('has what was dropped reported', async () => {
    const out = (await agent.next('threatLog', ({ threat }) => threat.destinationPort === 7002)).threat;
    assert.equal(
      `${unpackAddress(out.etherType, out.source)} > ${unpackAddress(out.etherType, out.destination)}`,
      `${WORKLOAD.ip} > ${HOST.ip}`,
    );
    assert.deepEqual([out.mac, out.action, out.ruleId, out.flags], [MAC, ACTION.deny, 0, 0]);
    const { threat, packet } = await agent.next('threatLog', (report) => report.threat.destinationPort === 7001);
    assert.equal(threat.flags, THREAT_FLAG.toWorkload | THREAT_FLAG.ingressConnection);
    assert.equal(Buffer.from(packet).toString('hex', 0, 6), MAC.replaceAll(':', ''));
    assert.match(Buffer.from(packet).toString('latin1'), /datagram \d+/);
  });
  it('has its rules’ hits and its connections reported', async () => {
    const { rules } = await agent.next('ruleHits', ({ mac }) => mac === MAC);
    assert.ok(rules.some(({ ruleId, hits }) => ruleId === 1001 && hits === 1n));
    const { connections } = await agent.next('connection');
    const found = connections.find(({ serverPort, ruleId: by }) => serverPort === 7001 && by === 1001);
    const { ruleId, action, clientPackets, clientBytes } = found ?? assert.fail();
    assert.deepEqual([ruleId, action, clientPackets], [1001, ACTION.open, 1n]);
    assert.ok(clientBytes > 42n && clientBytes < 100n);
    dp.signal('SIGUSR1');
    await dp.said(`${MAC} on eth0 (queue 7 port, ${lab.pod})`);
  });
  it('drops an open connection’s next packet once it is denied, and lets it pass again', async () => {
    assert.equal(await traffic.out(7001), true);
    await enforce(CONTROL_RULES as typeof RULES);
    assert.equal(await traffic.out(7001), false);
    await enforce();
    assert.equal(await traffic.out(7001), true);
  });
  it('lets all pass where `tap` is set, reports it, and then fails open', async () => {
    await send({ ctrl_cfg_mac: { macs: [MAC], tap: true } });
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    const { threat } = await agent.next('threatLog', (report) => report.threat.action === ACTION.violate);
    assert.equal(threat.flags & THREAT_FLAG.passed, THREAT_FLAG.passed);
    assert.deepEqual(chains(), [...OPEN, ...OPEN]);
    await send({ ctrl_cfg_mac: { macs: [MAC], tap: false } });
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
    assert.deepEqual(chains(), [...CLOSED, ...CLOSED]);
  });
  it('lets a real TCP connection through, with large packets, both ways', () => {
    assert.equal(transfer(7443), BYTES);
  });
});

describe('while dp comes and goes', () => {
  it('nothing passes that a policy decides on, until dp is back and has that policy', async () => {
    await enforce();
    await dp.stop('SIGKILL');
    assert.equal(transfer(7443), 0);
    dp = await lab.start();
    // The rules are not known before they are sent again, but that there are some is.
    assert.equal(transfer(7443), 0);
    assert.deepEqual(chains(), [...CLOSED, ...CLOSED]);
    await agent.ask(policy(RULES), 'policyRealized');
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
    assert.equal(transfer(7443), BYTES);
  });
  it('all passes where `tap` is set', async () => {
    await send({ ctrl_cfg_mac: { macs: [MAC], tap: true } });
    await dp.stop('SIGKILL');
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    dp = await lab.start();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    await send({ ctrl_cfg_mac: { macs: [MAC], tap: false } });
    await enforce();
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
  });
});

describe('a queue that is full', () => {
  it('drops what there is no room for, and says how many', async () => {
    dp.signal('SIGSTOP');
    flood(FLOOD);
    dp.signal('SIGCONT');
    const { code, text } = await agent.next('error', (report) => report.code === ERROR_CODE.queueFull);
    assert.equal(code, ERROR_CODE.queueFull);
    const [, dropped = ''] = /^queue 7 of eth0 in .*: (\d+) packets dropped, as it was full$/.exec(text) ?? [];
    assert.ok(Number(dropped) > 0 && Number(dropped) <= FLOOD, text);
    while (waiting() > 0) await agent.settled();
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
  });
});

describe('what is refused, and changes nothing', () => {
  const cases: readonly (readonly [says: string, more: object, code: number, text: RegExp])[] = [
    [
      'a namespace that is not there',
      { netns: '/run/netns/podwall-none' },
      ERROR_CODE.interfaceFailed,
      /no network namespace/,
    ],
    ['an interface that is not there', { iface: 'eth9' }, ERROR_CODE.interfaceFailed, /no interface eth9/],
    ['a queue that another port has', { iface: 'lo' }, ERROR_CODE.interfaceFailed, /queue 7 in .* is that of eth0/],
    [
      'a name that iptables would take for a pattern',
      { iface: 'eth+' },
      ERROR_CODE.invalidCommand,
      /eth\+: letters, digits/,
    ],
  ];
  for (const [says, more, code, text] of cases)
    it(says, async () => {
      const error = await agent.ask({ ctrl_add_nfq_port: port({ qnum: QUEUE, epmac: MAC, ...more }) }, 'error');
      assert.equal(error.code, code, error.text);
      assert.match(error.text, text);
      assert.deepEqual(chains(), [...CLOSED, ...CLOSED]);
      assert.deepEqual(await traffic.verdicts(), AS_RULES);
    });
  it('a port to remove that nobody added', async () => {
    const error = await agent.ask({ ctrl_del_nfq_port: port({ iface: 'eth9' }) }, 'error');
    assert.match(error.text, /no port eth9 of /);
  });
});

describe('a queue leaves no trace', () => {
  it('where it is removed: all passes as if never policed', async () => {
    await send({ ctrl_del_nfq_port: port({ qnum: QUEUE }) });
    assert.deepEqual(chains(), []);
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
  });
  it('where its interface goes, and begins anew with another of that name', async () => {
    await enforce();
    lab.replaceInterface();
    await dp.said('port gone');
    assert.deepEqual(chains(), []);
    await enforce();
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), AS_RULES);
  });
  it('after --detach', async () => {
    await dp.stop();
    await using detaching = new DpProcess(lab, [...lab.options, '--detach']);
    assert.equal((await detaching.ended()).code, 0, detaching.errors);
    assert.equal(existsSync(lab.pin), false);
    assert.deepEqual(chains(), []);
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
  });
});

/** Packets that have no verdict yet. */
function waiting(): number {
  const line = inPod('cat', '/proc/self/net/netfilter/nfnetlink_queue').stdout.trim().split(/\s+/);
  return Number(line[2]);
}

/** More than may wait. What waits counts as its socket's: hence many of these. */
const FLOOD = 20_000;
function flood(datagrams: number): void {
  const script = `
import socket
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
for s in sockets:
    s.setblocking(False)
for i in range(${datagrams}):
    try:
        sockets[i % 100].sendto(b'flood', ('${HOST.ip}', 7002))
    except OSError: # dropped on its way out, or its socket is full
        pass
`;
  const { status, stderr } = inPod('python3', '-c', script);
  assert.equal(status, 0, stderr);
}

const BYTES = 3_000_000;
/** Bytes that a client in the namespace gets back from an echoing server on the host’s side; 0 where it can’t connect. */
function transfer(tcpPort: number): number {
  const server = `
import socket, subprocess, sys
listener = socket.create_server(('${HOST.ip}', ${tcpPort}))
listener.settimeout(4)
client = subprocess.Popen(['nsenter', '--net=${lab.pod}', '--', sys.executable, '-c', sys.argv[1]])
try:
    connection, _ = listener.accept()
    connection.settimeout(10)
    got = 0
    while got < ${BYTES} and (chunk := connection.recv(1 << 16)):
        got += len(chunk)
    connection.sendall(b'y' * got)
    connection.close()
except OSError:
    pass
client.wait()
`;
  const client = `
import socket
try:
    s = socket.create_connection(('${HOST.ip}', ${tcpPort}), 3)
    s.settimeout(10)
    s.sendall(b'x' * ${BYTES})
    got = 0
    while chunk := s.recv(1 << 16):
        got += len(chunk)
    print(got)
except OSError:
    print(0)
`;
  const run = spawnSync('nsenter', [`--net=${lab.host}`, '--', 'python3', '-c', server, client], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return Number(run.stdout);
}
