import assert from 'node:assert/strict';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DPWorkloadIPPolicy } from '@podwall/dp/protocol/commands.ts';
import { NO_MAC, type Report } from '@podwall/dp/protocol/reports.ts';
import { pino } from 'pino';
import type { ComputedPolicy } from '../policy/policy.ts';
import { DpConnection, TIMING } from './connection.ts';
import { CONFIRM_TIMEOUT_MS, Enforcement } from './enforcement.ts';
import { ProtocolPeer } from './protocol-peer.ts';
import type { Target } from './steps.ts';

/** A fifth of the agent's own times. */
const timing = { keepAlive: 400, deadAfter: 2000, retry: 400 };
const MAC = 'aa:bb:cc:dd:ee:01';
const NOBODY = 65534;

function computed(
  rules: number,
  { fqdns = [] as readonly string[], tap = false, uid = 'r1', generation = 1, mac = MAC } = {},
): ComputedPolicy {
  const policy: DPWorkloadIPPolicy = {
    ...{ wl_id: 'w', mode: 'protect', defact: 2, apply_dir: 3, mac: [mac] },
    policy_rules: Array.from({ length: rules }, (_, i) => ({
      ...{ id: 1001 + i, sip: '0.0.0.0', dip: '10.0.0.1', sipr: '255.255.255.255', dipr: '10.0.0.1' },
      ...{ port: i, portr: i, proto: 6, action: 1, ingress: false },
    })),
  };
  const names = { ruleNames: new Map(), defaultOf: { egress: uid }, generations: { [uid]: generation } };
  return { policy, tap, ...names, fqdns, problems: [] };
}

const UNSELECTED: ComputedPolicy = (() => {
  const { policy: _, ...rest } = computed(0);
  return { ...rest, defaultOf: {}, generations: {} };
})();

const target = (policy?: ComputedPolicy, mac = MAC): Target => ({
  ...{ name: `shop/${mac}`, mac, ips: ['10.0.0.2'], hostInterface: { name: 'veth1', index: 7 } },
  ...(policy && { computed: policy }),
});
const targets = (...all: readonly Target[]): Map<string, Target> => new Map(all.map((each) => [each.mac, each]));

/** An agent's side of the protocol, with a peer that plays dp's. */
class Bench implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'podwall-test-dp-'));
  readonly dpPath = join(this.#folder, 'dp.sock');
  readonly notifyPath = join(this.#folder, 'ctrl.sock');
  readonly logged: Record<string, unknown>[] = [];
  readonly errors: string[] = [];
  readonly reports: Report[] = [];
  readonly settled = new Set<string>();
  peer = this.newPeer();
  readonly enforcement: Enforcement;
  readonly connection: DpConnection;

  constructor() {
    const log = pino({ level: 'debug' }, { write: (line) => this.logged.push(JSON.parse(line)) });
    this.enforcement = new Enforcement({
      send: (datagrams) => this.connection.send(datagrams),
      log,
      confirmTimeoutMs: 1000,
      answersFrom: ['10.96.0.10', 'fd96::a'],
      isNameSettled: (name) => this.settled.has(name),
      onChange: () => undefined,
      onError: (text) => this.errors.push(text),
    });
    this.connection = new DpConnection({
      dpPath: this.dpPath,
      notifyPath: this.notifyPath,
      log,
      timing,
      onConnected: () => this.enforcement.connected(),
      onLost: () => this.enforcement.lost(),
      onReport: (report) => {
        this.reports.push(report);
        this.enforcement.report(report);
      },
    });
  }

  newPeer(): ProtocolPeer {
    return new ProtocolPeer(this.dpPath, this.notifyPath);
  }

  messages(): unknown[] {
    return this.logged.map(({ msg }) => msg);
  }

  async untilInForce(policy: ComputedPolicy, mac = MAC, withinMs?: number): Promise<void> {
    await this.peer.until(() => this.enforcement.stateOf(mac).inForce === policy, withinMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.enforcement[Symbol.dispose]();
    await this.connection[Symbol.asyncDispose]();
    this.peer.end({ removesFile: false });
    rmSync(this.#folder, { recursive: true });
  }
}

/** Of workloads and names. */
const names = (peer: ProtocolPeer): string[] =>
  peer.commands.map(({ name }) => name).filter((name) => name !== 'ctrl_sys_conf');

describe('the agent’s side of the protocol', { concurrency: true, timeout: 30_000 }, () => {
  it('registers a workload, then its names, whether it drops, and its policy', async () => {
    await using bench = new Bench();
    bench.settled.add('a.example');
    bench.enforcement.setAddresses('a.example', ['192.0.2.1']);
    const policy = computed(2, { fqdns: ['a.example'], tap: true });
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.untilInForce(policy);
    const order = ['ctrl_add_mac', 'ctrl_cfg_set_fqdn', 'ctrl_cfg_mac', 'ctrl_cfg_policy'];
    assert.deepEqual(names(bench.peer), order);
    assert.deepEqual(bench.peer.bodies('ctrl_add_mac'), [{ iface: 'veth1', mac: MAC, pips: [{ ip: '10.0.0.2' }] }]);
    assert.deepEqual(bench.peer.bodies('ctrl_cfg_mac'), [{ macs: [MAC], tap: true }]);
    const [fqdn] = bench.peer.bodies('ctrl_cfg_set_fqdn');
    assert.deepEqual(fqdn, { fqdn_name: 'a.example', vhost: false, fqdn_ips: ['192.0.2.1'] });
    assert.equal(bench.enforcement.revisions.find(MAC, bench.peer.epoch), policy);
  });

  it('tells whose DNS answers count before anything else', async () => {
    await using bench = new Bench();
    bench.enforcement.setTargets(targets(target(UNSELECTED)));
    await bench.untilInForce(UNSELECTED);
    assert.equal(bench.peer.commands[0]?.name, 'ctrl_sys_conf');
    assert.deepEqual(bench.peer.bodies('ctrl_sys_conf'), [{ resolvers: ['10.96.0.10', 'fd96::a'] }]);
  });

  it('only registers a workload of which nothing is known, and removes the policy of one that nothing selects', async () => {
    await using bench = new Bench();
    bench.enforcement.setTargets(targets(target()));
    await bench.peer.until((peer) => names(peer).length === 1);
    bench.enforcement.setTargets(targets(target(UNSELECTED)));
    await bench.untilInForce(UNSELECTED);
    assert.deepEqual(names(bench.peer), ['ctrl_add_mac', 'ctrl_cfg_policy']);
    assert.deepEqual(
      bench.peer.bodies('ctrl_cfg_policy').map(({ cmd, rules }) => [cmd, rules]),
      [[2, []]],
    );
  });

  it('sends 1500 rules of two workloads in order, unmixed, and loses none to a full queue', async () => {
    await using bench = new Bench();
    const other = 'aa:bb:cc:dd:ee:02';
    const [first, second] = [computed(1500), computed(1500)];
    const ofOther = { ...second, ...(second.policy && { policy: { ...second.policy, mac: [other] } }) };
    bench.enforcement.setTargets(targets(target(first), target(ofOther, other)));
    await bench.untilInForce(first);
    await bench.untilInForce(ofOther, other);
    const batches = bench.peer.bodies('ctrl_cfg_policy');
    assert.deepEqual(names(bench.peer).slice(0, 3), ['ctrl_add_mac', 'ctrl_add_mac', 'ctrl_cfg_mac']);
    const half = batches.length / 2;
    assert.equal(half, Math.ceil(1500 / 40));
    for (const [mac, own] of [
      [MAC, batches.slice(0, half)],
      [other, batches.slice(half)],
    ] as const) {
      assert.deepEqual(
        own.map((batch) => [...batch.mac]),
        own.map(() => [mac]),
      );
      assert.deepEqual(
        own.map(({ flag }) => flag),
        [1, ...own.slice(2).map(() => 0), 2],
      );
      assert.deepEqual(
        own.flatMap(({ rules = [] }) => rules),
        first.policy?.policy_rules,
      );
    }
  });

  it('sends nothing for a policy that is the same to dp, and takes over its names and generations', async () => {
    await using bench = new Bench();
    bench.enforcement.setTargets(targets(target(computed(1))));
    await bench.peer.until(({ epoch }) => epoch === 2);
    const renamed = computed(1, { generation: 2 });
    bench.enforcement.setTargets(targets(target(renamed)));
    await bench.untilInForce(renamed);
    assert.equal(bench.peer.bodies('ctrl_cfg_policy').length, 1);
    assert.equal(bench.enforcement.revisions.find(MAC, 2), renamed);
  });

  it('sends the changed address list of a name whole, and deletes a name that is no longer used', async () => {
    await using bench = new Bench();
    bench.settled.add('a.example');
    bench.enforcement.setAddresses('a.example', ['192.0.2.1']);
    bench.enforcement.setTargets(targets(target(computed(1, { fqdns: ['a.example'] }))));
    await bench.peer.until(({ epoch }) => epoch === 2);
    bench.enforcement.setAddresses('a.example', ['192.0.2.2', '2001:db8::2']);
    await bench.peer.until((peer) => peer.bodies('ctrl_cfg_set_fqdn').length === 2);
    bench.enforcement.setTargets(targets(target(computed(2))));
    await bench.peer.until((peer) => peer.bodies('ctrl_cfg_del_fqdn').length === 1);
    assert.deepEqual(bench.peer.bodies('ctrl_cfg_set_fqdn')[1]?.fqdn_ips, ['192.0.2.2', '2001:db8::2']);
    assert.deepEqual(names(bench.peer).slice(-2), ['ctrl_cfg_policy', 'ctrl_cfg_del_fqdn']);
  });

  it('waits with a policy until its names were looked up', async () => {
    await using bench = new Bench();
    const policy = computed(1, { fqdns: ['slow.example'] });
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.peer.until(({ keepAlives }) => keepAlives.length > 0);
    await sleep(100);
    assert.deepEqual(names(bench.peer), ['ctrl_add_mac']);
    bench.settled.add('slow.example');
    bench.enforcement.wake();
    await bench.untilInForce(policy);
  });

  it('tries a refused policy again, after longer and longer, and keeps what is in force until then', async () => {
    await using bench = new Bench();
    const [before, after] = [computed(1), computed(2)];
    bench.enforcement.setTargets(targets(target(before)));
    await bench.untilInForce(before);
    bench.peer.refusal = 'too many rules';
    bench.enforcement.setTargets(targets(target(after)));
    await bench.peer.until(() => bench.enforcement.stateOf(MAC).error !== undefined);
    assert.deepEqual(bench.enforcement.stateOf(MAC), { inForce: before, error: 'too many rules' });
    bench.peer.refusal = undefined;
    await bench.untilInForce(after);
    assert.deepEqual(bench.enforcement.stateOf(MAC), { inForce: after });
    const refused = bench.logged.find(({ msg }) => msg === 'policy not in force');
    assert.deepEqual([refused?.error, refused?.retryMs], ['too many rules', 1000]);
  });

  it('does not take another policy’s confirmation for the one it waits for', async () => {
    await using bench = new Bench();
    await bench.peer.until(() => bench.connection.isConnected);
    bench.peer.isAnswering = false;
    const policy = computed(2);
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.peer.until((peer) => peer.bodies('ctrl_cfg_policy').length === 1);
    bench.peer.report({ kind: 'policyRealized', realized: { mac: MAC, epoch: 8, rules: 5 } });
    bench.peer.report({ kind: 'policyRealized', realized: { mac: 'aa:bb:cc:dd:ee:02', epoch: 9, rules: 2 } });
    await bench.peer.until(() => bench.reports.length === 2);
    assert.deepEqual(bench.enforcement.stateOf(MAC), {});
    bench.peer.report({ kind: 'policyRealized', realized: { mac: MAC, epoch: 10, rules: 2 } });
    await bench.untilInForce(policy);
    assert.equal(bench.enforcement.revisions.find(MAC, 10), policy);
  });

  it('takes silence as a refusal', async () => {
    await using bench = new Bench();
    await bench.peer.until(({ keepAlives }) => keepAlives.length > 0);
    bench.peer.isAnswering = false;
    const policy = computed(1);
    bench.enforcement.setTargets(targets(target(policy)));
    await sleep(900);
    assert.equal(bench.enforcement.stateOf(MAC).error, undefined);
    await bench.peer.until(() => bench.enforcement.stateOf(MAC).error !== undefined, 1000);
    bench.peer.isAnswering = true;
    await bench.untilInForce(policy, MAC, 3000);
  });

  it('removes a workload that is gone', async () => {
    await using bench = new Bench();
    const policy = computed(1);
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.untilInForce(policy);
    bench.enforcement.setTargets(new Map());
    await bench.peer.until((peer) => peer.bodies('ctrl_del_mac').length === 1);
    assert.deepEqual(bench.peer.bodies('ctrl_del_mac'), [{ iface: 'veth1', mac: MAC }]);
  });

  const moves = [
    ['index', { hostInterface: { name: 'veth1', index: 8 } }],
    ['name', { hostInterface: { name: 'veth2', index: 7 } }],
    ['MAC', { mac: 'aa:bb:cc:dd:ee:02' }],
  ] as const;
  for (const [what, change] of moves)
    it(`removes a workload whose interface has another ${what} before it registers the new one`, async () => {
      await using bench = new Bench();
      const before = computed(1);
      bench.enforcement.setTargets(targets(target(before)));
      await bench.untilInForce(before);
      const registration = { ...target(), ...change };
      const after = computed(1, { mac: registration.mac });
      const moved = { ...registration, computed: after };
      bench.enforcement.setTargets(targets(moved));
      await bench.untilInForce(after, moved.mac);
      assert.deepEqual(names(bench.peer).slice(3), ['ctrl_del_mac', ...names(bench.peer).slice(0, 3)]);
      assert.deepEqual(bench.peer.bodies('ctrl_del_mac'), [{ iface: 'veth1', mac: MAC }]);
      const registered = bench.peer.bodies('ctrl_add_mac').map((body) => [body.iface, body.mac]);
      assert.deepEqual(registered, [
        ['veth1', MAC],
        [moved.hostInterface.name, moved.mac],
      ]);
    });

  it('removes a workload that went while dp was away, and not one that came back', async () => {
    await using bench = new Bench();
    const other = 'aa:bb:cc:dd:ee:02';
    bench.enforcement.setTargets(targets(target(), target(undefined, other)));
    await bench.peer.until((peer) => names(peer).length === 2);
    bench.peer.end({ removesFile: true });
    await bench.peer.until(() => bench.messages().includes('dp lost'));
    bench.enforcement.setTargets(new Map());
    bench.enforcement.setTargets(targets(target(undefined, other)));
    bench.peer = bench.newPeer();
    await bench.peer.until((peer) => names(peer).length === 2);
    assert.deepEqual(bench.peer.bodies('ctrl_del_mac'), [{ iface: 'veth1', mac: MAC }]);
    assert.deepEqual(
      bench.peer.bodies('ctrl_add_mac').map(({ mac }) => mac),
      [other],
    );
  });

  it('tells a dp that was killed and started between two keep-alives everything again', async () => {
    await using bench = new Bench();
    bench.settled.add('a.example');
    bench.enforcement.setAddresses('a.example', ['192.0.2.1']);
    const policy = computed(50, { fqdns: ['a.example'] });
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.untilInForce(policy);
    const before = bench.peer.commands;
    bench.peer.end({ removesFile: false });
    bench.peer = bench.newPeer();
    await bench.peer.until(({ epoch }) => epoch === 2);
    assert.deepEqual(bench.peer.commands, before);
    assert(bench.messages().includes('dp lost'));
  });

  it('finds a dp that was away, sends it everything, and what changed meanwhile', async () => {
    await using bench = new Bench();
    const [before, after] = [computed(1), computed(3)];
    bench.enforcement.setTargets(targets(target(before)));
    await bench.untilInForce(before);
    bench.peer.end({ removesFile: true });
    await bench.peer.until(() => bench.messages().includes('dp lost'));
    assert(!bench.connection.isConnected);
    bench.enforcement.setTargets(targets(target(after)));
    await bench.peer.until(() => bench.messages().includes('dp does not answer, trying again'));
    assert.equal(bench.enforcement.stateOf(MAC).inForce, before);
    bench.peer = bench.newPeer();
    await bench.untilInForce(after);
    assert.deepEqual(names(bench.peer), ['ctrl_add_mac', 'ctrl_cfg_mac', 'ctrl_cfg_policy']);
  });

  it('has nothing to do with a socket of another user, says so, and goes on trying', async () => {
    await using bench = new Bench();
    await bench.peer.until(() => bench.connection.isConnected);
    bench.peer.end({ removesFile: true });
    bench.peer = bench.newPeer();
    chownSync(bench.dpPath, NOBODY, NOBODY);
    bench.enforcement.setTargets(targets(target()));
    const isRefused = ({ msg, reason }: Record<string, unknown>): boolean =>
      msg === 'dp does not answer, trying again' && /belongs to user 65534, /.test(String(reason));
    await bench.peer.until(() => bench.logged.some(isRefused));
    assert.deepEqual(bench.peer.keepAlives, []);
    chownSync(bench.dpPath, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    await bench.peer.until((peer) => names(peer).length === 1);
  });

  it('takes a dp that reads but says nothing for long as dead, says so, and finds it once it speaks', async () => {
    await using bench = new Bench();
    const policy = computed(1);
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.untilInForce(policy);
    bench.peer.isAnswering = false;
    await sleep(1900);
    assert(bench.connection.isConnected);
    await bench.peer.until(() => !bench.connection.isConnected, 1000);
    const lost = bench.logged.find(({ msg }) => msg === 'dp lost');
    assert.match(String(lost?.reason), /^dp connection seems dead/);
    bench.peer.isAnswering = true;
    await bench.peer.until((peer) => peer.bodies('ctrl_cfg_policy').length === 2, 3000);
  });

  it('sends keep-alives at the reference’s intervals, with numbers that count up', async () => {
    await using bench = new Bench();
    const startedAt = Date.now();
    await bench.peer.until(({ keepAlives }) => keepAlives.length === 4);
    const tookMs = Date.now() - startedAt;
    assert(tookMs > 1100 && tookMs < 1600, `${tookMs} ms for 3 intervals`);
    assert.deepEqual(bench.peer.keepAlives, [1, 2, 3, 4]);
    assert.deepEqual([TIMING, CONFIRM_TIMEOUT_MS], [{ keepAlive: 2000, deadAfter: 10_000, retry: 2000 }, 5000]);
  });

  it('counts reports that were lost, and reads on after one that is not readable', async () => {
    await using bench = new Bench();
    await bench.peer.until(() => bench.connection.isConnected);
    const error: Report = { kind: 'error', code: 1, command: 0, mac: NO_MAC, text: 'not JSON' };
    bench.peer.report(error);
    bench.peer.sequence += 3;
    bench.peer.send(Buffer.from([0, 99, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1]));
    bench.peer.send(Buffer.from('short'));
    bench.peer.report(error);
    await bench.peer.until(() => bench.reports.length === 2);
    assert.equal(bench.connection.reportsLost, 3);
    assert.deepEqual(bench.errors, ['not JSON', 'not JSON']);
    assert.equal(bench.messages().filter((message) => message === 'report from dp is not readable').length, 2);
  });

  it('takes numbers of reports that begin anew as another dp', async () => {
    await using bench = new Bench();
    const policy = computed(1);
    bench.enforcement.setTargets(targets(target(policy)));
    await bench.untilInForce(policy);
    bench.peer.sequence = 0;
    bench.peer.report({ kind: 'error', code: 1, command: 0, mac: NO_MAC, text: 'from another dp' });
    await bench.peer.until((peer) => peer.bodies('ctrl_cfg_policy').length === 2);
    assert.equal(bench.connection.reportsLost, 0);
  });
});
