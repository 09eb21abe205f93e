// Commands that the kernel refuses in the middle, because a table is full: nothing of them is in force, here or there.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Harness } from '../bpf/harness.ts';
import { rule } from '../bpf/rules.ts';
import type { Command } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';

const ROOM = 4;
const harness = new Harness({ address_names: ROOM, endpoint_addresses: ROOM, listeners: ROOM, policies: ROOM });
after(() => harness[Symbol.dispose]());
const { datapath, engine } = harness;

const addresses = (count: number, net: number): string[] => Array.from({ length: count }, (_, i) => `10.${net}.0.${i}`);

function refused(command: Command, text: RegExp): void {
  const isRight = (error: unknown) =>
    error instanceof CommandError && error.code === ERROR_CODE.policyTooLarge && text.test(error.message);
  assert.throws(() => engine.carryOut(command), isRight);
}

/** All that commands change, but for the epochs of workloads. */
function state(): object {
  return {
    names: engine.names.list(),
    kernelNames: new Set(datapath.names.entries()),
    addressNames: new Set(datapath.addressNames.entries()),
    endpointAddresses: new Set(datapath.endpointAddresses.entries()),
    listeners: new Set(datapath.listeners.entries()),
    workloads: engine.workloads
      .all()
      .map(({ mac, addresses: own, policy, state: { policy: index, families, revision } }) => [
        mac,
        [...own],
        policy,
        [index, families, revision],
      ]),
  };
}

/** What came before the command is there as it was. */
function unchanged(run: () => void): void {
  const before = state();
  run();
  assert.deepEqual(state(), before);
}

describe('a name with more addresses than there is room for', () => {
  const set = (fqdn_name: string, ips: string[]): Command => ({
    name: 'ctrl_cfg_set_fqdn',
    body: { fqdn_name, fqdn_ips: ips },
  });
  it('has those from before', () => {
    engine.carryOut(set('a.test', addresses(2, 1)));
    unchanged(() =>
      refused(set('a.test', addresses(ROOM + 1, 2)), /: 5 addresses of domain names; at most 4 fit: 1 too many/),
    );
  });
  it('that is new is not there', () => {
    unchanged(() =>
      refused(set('b.test', addresses(ROOM, 3)), /: 6 addresses of domain names; at most 4 fit: 2 too many/),
    );
    engine.carryOut(set('b.test', addresses(2, 3)));
    assert.equal(engine.names.list().length, 2);
  });
});

describe('a workload', () => {
  const [first, second] = [harness.workload(), harness.workload()];
  it('with more addresses than there is room for has those from before', () => {
    const [workload = assert.fail()] = engine.workloads.withMac(first.mac);
    engine.workloads.setAddresses(workload, new Set(addresses(2, 4)));
    const set = () => engine.workloads.setAddresses(workload, new Set(addresses(ROOM + 1, 5)));
    unchanged(() =>
      assert.throws(() => datapath.changes.whole(set), /7 addresses of all workloads, .*; at most 4 fit: 3 too many/),
    );
  });
  it('with more listeners than there is room for has those from before, and so has the next of the same command', () => {
    const listen = (macs: string[], count: number): Command => ({
      name: 'ctrl_cfg_mac',
      body: { macs, apps: Array.from({ length: count }, (_, i) => ({ ip_proto: 6, port: 80 + i, app: 100 })) },
    });
    engine.carryOut(listen([first.mac], 1));
    unchanged(() =>
      refused(listen([first.mac, second.mac], 3), /: 6 listeners of all workloads, .*; at most 4 fit: 2 too many/),
    );
  });
});

describe('a policy for several workloads', () => {
  it('that is refused at the second changes none', () => {
    const [first, second] = [harness.workload(), harness.workload()];
    // Each of these has a policy of its own, so that a change of both makes two.
    first.allowOnly(rule({ id: 1, ports: 'tcp/1' }));
    second.allowOnly(rule({ id: 2, ports: 'tcp/2' }));
    const body = {
      cmd: 3,
      flag: 3,
      defact: 2,
      dir: 3,
      mac: [first.mac, second.mac],
      rules: [rule({ id: 3 })],
    } as const;
    const before = first.sendUdp('10.0.0.9', 9);
    unchanged(() =>
      refused(
        { name: 'ctrl_cfg_policy', body: { ...body, mac: [...body.mac], rules: [...body.rules] } },
        /: 4 different policies in the kernel, .*; at most 3 fit: 1 too many; /,
      ),
    );
    assert.equal(first.sendUdp('10.0.0.9', 9), before);
  });
});
