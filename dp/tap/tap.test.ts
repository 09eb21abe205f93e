// An interface in another namespace that is watched: decided on, counted and reported as any other, and nothing is dropped.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { ip as frame, TCP_FLAG, tcp, udp } from '../bpf/packets.ts';
import { rule } from '../bpf/rules.ts';
import type { Agent } from '../lab/agent.ts';
import { CONTROL_RULES, policy } from '../lab/commands.ts';
import { DpProcess } from '../lab/dp-process.ts';
import { sendFrames } from '../lab/frames.ts';
import { HOST, Lab, WORKLOAD } from '../lab/lab.ts';
import { CONTROL_PORT, type Traffic } from '../lab/traffic.ts';
import { unpackAddress } from '../protocol/address.ts';
import { CONNECTION_FLAG, type Connection, ERROR_CODE, THREAT_FLAG, type ThreatLog } from '../protocol/reports.ts';
import { THREAT } from '../protocol/threats.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';

const { mac: MAC } = WORKLOAD;
const IFACE = 'eth0';
/** Of what the workload sends to the host. */
const ENDS = { sourceMac: MAC, destinationMac: HOST.mac, source: WORKLOAD.ip, destination: HOST.ip };
const ALL_PASS = [true, true, true, true];
/** Out to 7001 is allowed, in to 7002 too; what the lab itself needs. */
const RULES = [
  ...CONTROL_RULES,
  rule({ id: 1001, ports: 'udp/7001' }),
  rule({ id: 1002, ports: 'udp/7002', direction: 'ingress' }),
];

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
const port = (more: object = {}) => ({ netns: lab.pod, iface: IFACE, ...more });
const ADD = { ctrl_add_tap_port: port({ epmac: MAC }) };

let dp: DpProcess;
let agent: Agent;
let traffic: Traffic;
before(async () => {
  dp = await lab.start();
  agent = lab.agent();
  traffic = await lab.traffic();
});

async function watch(): Promise<void> {
  await agent.send(ADD);
  await agent.ask(policy(RULES), 'policyRealized');
}

/** The next report of a kind of threat. */
async function threatOf({ id }: { readonly id: number }): Promise<ThreatLog> {
  const { threat } = await agent.next('threatLog', (report) => report.threat.threatId === id);
  return threat;
}

const pins = (): string[] =>
  readdirSync(`${lab.pin}/watched`)
    .map((name) => name.replace(/^\d+-/, ''))
    .sort();

describe('a watched interface', () => {
  it('loses nothing to a policy that denies', async () => {
    await watch();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    assert.deepEqual(pins(), ['watch_received', 'watch_sent']);
  });
  it('has what would be dropped reported as passed, in both directions', async () => {
    const out = await threatOf(THREAT.policyViolation);
    assert.equal(`${unpackAddress(out.etherType, out.source)} > ${out.destinationPort}`, `${WORKLOAD.ip} > 7002`);
    assert.deepEqual([out.mac, out.action, out.ruleId, out.flags], [MAC, ACTION.violate, 0, THREAT_FLAG.passed]);
    const incoming = await threatOf(THREAT.policyViolation);
    assert.equal(
      `${unpackAddress(incoming.etherType, incoming.source)} > ${incoming.destinationPort}`,
      `${HOST.ip} > 7001`,
    );
    const { toWorkload, ingressConnection, passed } = THREAT_FLAG;
    assert.equal(incoming.flags, toWorkload | ingressConnection | passed);
  });
  it('has its rules’ hits and its connections reported', async () => {
    const { rules } = await agent.next('ruleHits', ({ mac }) => mac === MAC);
    assert.ok(rules.some(({ ruleId, hits }) => ruleId === 1001 && hits === 1n));
    const { connections } = await agent.next('connection');
    const of = (serverPort: number, isIngress: boolean) =>
      connections.find((one) => one.serverPort === serverPort && (one.flags & 1) === Number(isIngress));
    assert.deepEqual(
      [of(7001, false)?.ruleId, of(7002, true)?.ruleId, of(7002, false)?.action, of(7001, true)?.action],
      [1001, 1002, ACTION.violate, ACTION.violate],
    );
    assert.equal(of(7001, false)?.clientPackets, 1n);
  });
  it('is in the dump, and dp’s own namespace has no program for it', async () => {
    dp.signal('SIGUSR1');
    await dp.said(`${MAC} on eth0 (tap port, ${lab.pod})`);
    assert.deepEqual(readdirSync(`${lab.pin}/links`), []);
  });
  it('is watched all the same where `tap` is set to false', async () => {
    await agent.send({ ctrl_cfg_mac: { macs: [MAC], tap: false } });
    await agent.settled();
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
  });
});

describe('a watched interface passes', () => {
  const text = Buffer.from('a frame');
  const datagram = udp({ sourcePort: 6000, destinationPort: 7002 }, text);
  const good = Buffer.from(frame(ENDS, PROTOCOL.udp, datagram));
  const cases: readonly (readonly [says: string, threat: { readonly id: number }, bytes: Uint8Array])[] = [
    [
      'a spoofed source MAC',
      THREAT.spoofedMac,
      frame({ ...ENDS, sourceMac: '02:00:00:00:66:66' }, PROTOCOL.udp, datagram),
    ],
    ['an IP header that is cut short', THREAT.invalidPacket, good.subarray(0, 20)],
    [
      'a protocol that is not IP',
      THREAT.unsupportedProtocol,
      Buffer.concat([good.subarray(0, 12), Buffer.from('88f7', 'hex'), text]),
    ],
    [
      'a fragment whose first one was not seen',
      THREAT.orphanFragment,
      frame(ENDS, PROTOCOL.udp, text, { fragment: { id: 7, offset: 64, isLast: true } }),
    ],
  ];
  for (const [says, threat, bytes] of cases)
    it(`${says}, and reports it`, async () => {
      const before = received(lab.host, WORKLOAD.iface);
      sendFrames(lab.pod, IFACE, [bytes]);
      const { flags, mac } = await threatOf(threat);
      assert.deepEqual([flags & THREAT_FLAG.passed, mac], [THREAT_FLAG.passed, MAC]);
      assert.ok(received(lab.host, WORKLOAD.iface) > before);
    });
});

/** Frames that came in by an interface. */
function received(namespace: string, iface: string): number {
  const command = [`--net=${namespace}`, '--', 'ip', '-json', '-statistics', 'link', 'show', 'dev', iface];
  const [link] = JSON.parse(execFileSync('nsenter', command, { encoding: 'utf8' }));
  return link.stats64.rx.packets;
}

describe('an interface that gets copies of another’s traffic', () => {
  it('is told by the MACs who sent what, also where one side alone is copied', async () => {
    const inHost = (...words: string[]) => execFileSync('nsenter', [`--net=${lab.host}`, '--', 'ip', ...words]);
    inHost('link', 'add', 'copies0', 'type', 'veth', 'peer', 'name', 'copies1');
    for (const end of ['copies0', 'copies1']) inHost('link', 'set', end, 'up');
    await agent.send({ ctrl_del_tap_port: port() });
    await agent.send({ ctrl_add_tap_port: { netns: lab.host, iface: 'copies1', epmac: MAC } });
    await agent.ask(policy(RULES), 'policyRealized');
    const ports = { sourcePort: 6100, destinationPort: 7003 };
    const segments = [TCP_FLAG.syn, TCP_FLAG.ack, TCP_FLAG.ack | TCP_FLAG.fin].map((flags, i) =>
      frame(ENDS, PROTOCOL.tcp, tcp({ ...ports, flags, sequence: 1000 + Number(i > 0) })),
    );
    sendFrames(lab.host, 'copies0', segments);
    const threat = await threatOf(THREAT.policyViolation);
    assert.deepEqual(
      [unpackAddress(threat.etherType, threat.source), threat.destinationPort, threat.flags],
      [WORKLOAD.ip, 7003, THREAT_FLAG.passed],
    );
    const { connections } = await agent.next('connection', (report) => report.connections.some(isCopied));
    const copied = connections.find(isCopied);
    assert.deepEqual(
      [copied?.clientPackets, copied?.serverPackets, copied?.flags],
      [3n, 0n, CONNECTION_FLAG.violation],
    );
    await agent.send({ ctrl_del_tap_port: { netns: lab.host, iface: 'copies1' } });
    await agent.settled();
    assert.deepEqual(pins(), []);
  });
});

const isCopied = ({ serverPort, mac }: Connection): boolean => serverPort === 7003 && mac === MAC;

describe('what is refused, and changes nothing', () => {
  const cases: readonly (readonly [says: string, command: object, text: RegExp])[] = [
    [
      'a namespace that is not there',
      { ctrl_add_tap_port: port({ epmac: MAC, netns: '/run/netns/podwall-none' }) },
      /no network namespace \/run\/netns\/podwall-none/,
    ],
    [
      'a file that is no namespace',
      { ctrl_add_tap_port: port({ epmac: MAC, netns: '/etc/hostname' }) },
      /\/etc\/hostname is no network namespace/,
    ],
    [
      'a namespace of another kind',
      { ctrl_add_tap_port: port({ epmac: MAC, netns: '/proc/self/ns/uts' }) },
      /is no network namespace/,
    ],
    [
      'an interface that is not there',
      { ctrl_add_tap_port: port({ epmac: MAC, iface: 'eth9' }) },
      /no interface eth9 in network namespace/,
    ],
    ['a port to remove that nobody added', { ctrl_del_tap_port: port() }, /no port eth0 of /],
  ];
  for (const [says, command, text] of cases)
    it(says, async () => {
      const error = await agent.ask(command, 'error');
      assert.equal(error.code, ERROR_CODE.interfaceFailed);
      assert.match(error.text, text);
      assert.deepEqual(pins(), []);
    });
});

describe('a watched interface, while dp comes and goes', () => {
  it('is watched once dp is back, with its policy', async () => {
    await watch();
    await dp.stop('SIGKILL');
    await traffic.begin();
    assert.deepEqual(await traffic.verdicts(), ALL_PASS);
    dp = await lab.start();
    const threat = await threatOf(THREAT.policyViolation); // of while it was away
    assert.equal(threat.destinationPort, 7002);
    assert.deepEqual(pins(), ['watch_received', 'watch_sent']);
    await traffic.begin();
    await traffic.out(7002);
    await threatOf(THREAT.policyViolation);
  });
  it('is one port, however often it is added', async () => {
    await watch();
    await watch();
    assert.equal(readdirSync(`${lab.pin}/watched`).length, 2);
  });
  it('is forgotten with its interface, and can be added again under the same name', async () => {
    lab.replaceInterface();
    await dp.said('port gone');
    assert.deepEqual(pins(), []);
    await watch();
    await traffic.begin();
    await traffic.out(7002);
    assert.equal((await threatOf(THREAT.policyViolation)).destinationPort, 7002);
  });
  it('goes on by clsact where dp is told so, and comes back to TCX', async () => {
    await dp.stop();
    dp = await lab.start('--attach', 'clsact');
    assert.deepEqual(pins(), ['clsact']);
    await traffic.begin();
    await traffic.out(7002);
    await threatOf(THREAT.policyViolation);
    await dp.stop();
    dp = await lab.start();
    assert.deepEqual(pins(), ['watch_received', 'watch_sent']);
  });
  for (const kind of ['tcx', 'clsact'])
    it(`has no trace of it left after --detach (${kind})`, async () => {
      await dp.stop();
      dp = await lab.start('--attach', kind);
      await watch();
      await dp.stop();
      await using detaching = new DpProcess(lab, [...lab.options, '--detach']);
      assert.equal((await detaching.ended()).code, 0, detaching.errors);
      assert.equal(existsSync(lab.pin), false);
      const tc = (hook: string) =>
        execFileSync('nsenter', [`--net=${lab.pod}`, '--', 'tc', 'filter', 'show', 'dev', IFACE, hook], {
          encoding: 'utf8',
        });
      assert.equal(`${tc('ingress')}${tc('egress')}`, '');
      assert.equal(await traffic.out(CONTROL_PORT), true);
      dp = await lab.start();
    });
});
