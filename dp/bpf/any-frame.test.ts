// Any frame, whole or damaged, under a policy that allows nothing: none passes but what resolves addresses.
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { ETHER_TYPE } from '../protocol/address.ts';
import { PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { EXTENSION, ethernet, type IpOptions, icmp, icmpProtocolOf, ip, tcp, udp, VLAN } from './packets.ts';
import { FIRST_PAYLOADS } from './payloads.ts';
import { type Random, random } from './rule-sets.ts';

const FRAMES = 60_000;
const ETHERNET_BYTES = 14;
const MACS_BYTES = 12;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const pick = <T>(r: Random, items: readonly T[]): T => items[r(items.length)] as T; // r stays below the length

/** A frame of any kind that the programs know, to the workload or from it. */
function wholeFrame(workload: Workload, goes: 'in' | 'out', r: Random): Uint8Array {
  const peer = pick(r, ['10.1.0.9', 'fd01::9', 'ff02::1']);
  const ends = workload.ends(peer, goes);
  const ports = { sourcePort: r(65_536), destinationPort: r(65_536) };
  const payload = pick(r, FIRST_PAYLOADS).bytes;
  const inner = ip(workload.ends(peer, goes === 'in' ? 'out' : 'in'), PROTOCOL.udp, udp(ports)).subarray(
    ETHERNET_BYTES,
  );
  const [protocol, body] = pick<readonly [number, Uint8Array]>(r, [
    [PROTOCOL.tcp, tcp({ ...ports, flags: r(64), payload })],
    [PROTOCOL.udp, udp(ports, payload)],
    [icmpProtocolOf(peer), icmp(r(256), r(16), r(65_536), inner)],
    [r(256), payload],
  ]);
  const options: IpOptions = {
    vlans: Array.from({ length: r(4) }, () => pick(r, Object.values(VLAN))),
    extensions: Array.from({ length: r(8) }, () => pick(r, Object.values(EXTENSION))),
    options: new Uint8Array(4 * r(11)),
    ...(r(4) === 0 ? { fragment: { id: r(9), offset: 8 * r(3), isLast: r(2) === 0 } } : {}),
  };
  return r(20) === 0
    ? ethernet(ends, pick(r, Object.values(ETHER_TYPE)), payload, options.vlans)
    : ip(ends, protocol, body, options);
}

function damaged(whole: Uint8Array, r: Random): Uint8Array {
  const frame = Uint8Array.from(whole);
  // Behind the MACs: with others, it is a frame of another workload.
  for (let changes = r(4); changes > 0; changes--)
    frame[MACS_BYTES + r(Math.min(frame.length - MACS_BYTES, 100))] = r(256);
  return r(3) === 0 ? frame.subarray(0, ETHERNET_BYTES + r(frame.length - ETHERNET_BYTES + 1)) : frame;
}

/** What passes whatever the policy, as far as a frame's Ethernet types and one IPv6 header tell. */
function mayResolveAddresses(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let at = 12;
  for (let tags = 0; tags < 2 && at + 6 <= frame.length; tags++)
    if (view.getUint16(at) === VLAN.customer || view.getUint16(at) === VLAN.service) at += 4;
  const etherType = view.getUint16(at);
  if (etherType !== ETHER_TYPE.ipv6) return etherType === ETHER_TYPE.arp;
  const hopLimit = frame[at + 2 + 7];
  return hopLimit === 255 || hopLimit === 1;
}

it(`lets none of ${FRAMES} frames pass but for address resolution`, (t) => {
  const seed = Date.now() % 2 ** 32;
  const r = random(seed);
  const workload = harness.workload({});
  let passed = 0;
  for (let i = 0; i < FRAMES; i++) {
    const goes = pick(r, ['in', 'out'] as const);
    const frame = damaged(wholeFrame(workload, goes, r), r);
    const verdict = judge(workload, goes, frame);
    if (verdict !== 'pass') continue;
    passed += 1;
    assert.ok(mayResolveAddresses(frame), `seed ${seed}: passed ${goes}: ${Buffer.from(frame).toString('hex')}`);
  }
  t.diagnostic(`seed ${seed}: ${passed} passed`);
  assert.ok(passed > 0 && passed < FRAMES / 20);
});

/** Undefined where the kernel's own test run refuses the frame, as it does an IP header that is not whole. */
function judge(workload: Workload, goes: 'in' | 'out', frame: Uint8Array): string | undefined {
  try {
    return goes === 'out' ? workload.send(frame) : workload.receive(frame);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EINVAL') return undefined;
    throw error;
  }
}
