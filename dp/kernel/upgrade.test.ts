// Tables of another size, or of a layout that can't hold what is in force: over real tables, without traffic.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Flow, FlowKey } from './abi.gen.ts';
import { macBytes } from './address.ts';
import { PinDirectory } from './bpffs.ts';
import { Datapath } from './datapath.ts';
import { LoadError } from './program-object.ts';
import type { Loading } from './upgrade.ts';

let pins: PinDirectory;
beforeEach(() => {
  pins = PinDirectory.open(`/sys/fs/bpf/podwall-upgrade-${process.pid}`);
});
afterEach(() => {
  pins.remove();
  pins[Symbol.dispose]();
});

const open = (flows?: number, loading: Partial<Loading> = {}): Datapath => Datapath.open(pins, 'auto', flows, loading);

const keyOf = (n: number): FlowKey => ({
  local: { high: 0n, low: 1n },
  peer: { high: 0n, low: BigInt(n) },
  localPort: 1,
  peerPort: 2,
  protocol: 17,
  endpoint: 77,
});

/** The n-th was last seen at tick n. */
const flowOf = (n: number): Flow => ({
  decision: (1n << 32n) | 1n,
  ruleId: n,
  name: 0,
  firstSeen: 1,
  lastSeen: n,
  start: [1, 2],
  seen: 3,
  direction: 1,
  application: 4,
  sides: [
    { packets: 1n, bytes: 2n },
    { packets: 3n, bytes: 2n ** 40n },
  ],
});

const COUNT = 4000;

/** In an order that says nothing of their age. */
function fill(datapath: Datapath): void {
  for (let i = 0; i < COUNT; i++) {
    const n = 1 + ((i * 1499) % COUNT);
    datapath.flows().set(keyOf(n), flowOf(n));
  }
}

describe('the table of flows', () => {
  it('made larger keeps every flow as it is', () => {
    using first = open(4096);
    for (let n = 1; n <= COUNT; n++) first.flows().set(keyOf(n), flowOf(n));
    const before = new Map(
      first
        .flows()
        .entries()
        .map(([key, flow]) => [key.peer.low, flow]),
    );
    first[Symbol.dispose]();
    using second = open(20_000);
    assert.equal(second.room().flows, 20_000);
    assert.deepEqual(
      new Map(
        second
          .flows()
          .entries()
          .map(([key, flow]) => [key.peer.low, flow]),
      ),
      before,
    );
  });
  it('made smaller keeps those that were used last', () => {
    using first = open(40_000);
    fill(first);
    const twice = Array.from({ length: COUNT }, (_, i) => COUNT + i + 1);
    for (const n of twice) first.flows().set(keyOf(n), flowOf(n));
    first[Symbol.dispose]();
    using second = open(4096);
    const kept = second
      .flows()
      .entries()
      .map(([, { lastSeen }]) => lastSeen);
    assert.ok(kept.length >= 3500, `${kept.length} kept`);
    assert.ok(Math.min(...kept) > COUNT, `${Math.min(...kept)} is the oldest`);
  });
});

describe('what can not be taken over', () => {
  const endpoint = {
    id: 7,
    policy: 0,
    epoch: 1,
    revision: 1,
    defaultAction: 1,
    directions: 3,
    tap: 0,
    families: 0,
    netns: -1,
    learns: 0,
  };
  const add = (datapath: Datapath, count: number) => {
    for (let n = 1; n <= count; n++)
      datapath.endpoints.set(
        { ifindex: 1, mac: macBytes(`02:00:00:00:00:${n.toString(16).padStart(2, '0')}`) },
        { ...endpoint, id: n },
      );
  };
  it('more workloads than the new table takes: dp says so, and what is in force stays', () => {
    using first = open();
    add(first, 40);
    first[Symbol.dispose]();
    assert.throws(
      () => open(undefined, { sizes: { endpoints: 32 } }),
      (error) =>
        error instanceof LoadError && /^endpoints: 40 entries are in force, and this dp takes 32/.test(error.message),
    );
    assert.ok(!existsSync(`${pins.path}/next`));
    using again = open();
    assert.equal(again.endpoints.entries().length, 40);
  });
  it('pins of a version that knew no layouts: dp says so, and touches nothing', () => {
    mkdirSync(`${pins.path}/endpoints`);
    assert.throws(open, /are of a version that can't be taken over: what is in force stays; podwall-dp --detach/);
    assert.ok(!existsSync(`${pins.path}/in-force`));
  });
});
