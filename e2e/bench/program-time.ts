// How long the kernel programs take for a packet, and the search for a rule alone: by BPF_PROG_TEST_RUN, in ns.
import { randomInt } from 'node:crypto';
import type { PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { PROTOCOL } from '@podwall/dp/protocol/values.ts';
import { MAX_ENDPOINT_ID } from '../../dp/kernel/abi.gen.ts';
import { kernelAddressOf, macBytes } from '../../dp/kernel/address.ts';
import { Lab } from '../lab/lab.ts';
import type { Bench } from './bench.ts';
import { addMac, type DpClient, wholePolicy } from './dp-client.ts';
import type { Figure } from './figure.ts';
import { TCP_FLAG, type TcpPacket, tcpPacket } from './packet.ts';
import { Parts } from './parts.ts';
import { RULE_SETS, SERVER_IP, WORKLOAD_IP } from './rule-sets.ts';
import { addSilentInterfaces, startDp } from './scene.ts';
import { spreadOf } from './statistics.ts';

const SECTION = 'Program time (test run, JIT)';
const MOST_RULES = 10_000;
const FEWEST_RULES = 100;
/** `newFlows`: of a run; those of all runs together leave room in the table. `filling`: as many flows as it has room for. */
export type Effort = {
  readonly sizes: readonly number[];
  readonly knownRepeats: number;
  readonly searchRepeats: number;
  readonly newFlows: number;
  readonly filling: number;
};
const FULL: Effort = {
  sizes: [FEWEST_RULES, 1_000, MOST_RULES],
  knownRepeats: 1_000_000,
  searchRepeats: 100_000,
  newFlows: 8_000,
  filling: 2 ** 17,
};
const FILLED_AT_ONCE = 2 ** 16;
const QUERIES = 16;
const TARGET = { knownNs: 100, newNs: 800, searchNs: 350, growth: 2.5 } as const;
const NODE_MAC = '02:00:00:00:01:00';
const CLIENT_PORT = 40_000;

type Case = {
  readonly set: string;
  readonly count: number;
  readonly rules: readonly PolicyRule[];
  readonly mac: string;
};

const effortOf = ({ isQuick }: Bench): Effort => (isQuick ? { ...FULL, sizes: [FEWEST_RULES, MOST_RULES] } : FULL);

/** The first and the last of the sizes are compared. */
export async function* measureProgramTime(bench: Bench, effort: Effort = effortOf(bench)): AsyncGenerator<Figure> {
  await using lab = await Lab.create(bench.signal);
  using dp = (await startDp(lab)).client;
  const cases = await enforceAll(bench, lab, dp, effort.sizes);
  using parts = new Parts({ pins: lab.pins });
  yield* searches(bench, parts, cases, effort);
  const benign = cases.find(({ set, count }) => set === 'benign' && count === effort.sizes.at(-1));
  if (benign) yield* flows(bench, parts, benign, effort);
}

async function enforceAll(bench: Bench, lab: Lab, dp: DpClient, sizes: readonly number[]): Promise<Case[]> {
  const wanted = Object.entries(RULE_SETS).flatMap(([set, make]) =>
    sizes.map((count) => ({ set, count, rules: make(count) })),
  );
  const interfaces = await addSilentInterfaces(lab, wanted.length);
  const cases: Case[] = [];
  for (const [i, { iface, mac }] of interfaces.entries()) {
    const one = wanted[i];
    if (!one) continue;
    bench.say(`program time: ${one.count} ${one.set} rules`);
    await dp.enforce([addMac(iface, mac), ...wholePolicy([mac], one.rules)], 1);
    cases.push({ ...one, mac });
  }
  return cases;
}

function* searches(bench: Bench, parts: Parts, cases: readonly Case[], effort: Effort): Generator<Figure> {
  const { sizes, searchRepeats } = effort;
  const samples = new Map(cases.map((one) => [one, [] as number[]]));
  const floor: number[] = [];
  const packet = tcpPacket(PACKET);
  for (let round = 0; round < bench.rounds; round++) {
    bench.say(`program time: searches, round ${round + 1} of ${bench.rounds}`);
    for (const [one, times] of samples) times.push(searchNs(parts, one, packet, searchRepeats));
    floor.push(parts.time('vary_port', packet, searchRepeats));
  }
  for (const [{ set, count }, times] of samples) {
    const name = `search for a rule, same query: ${count.toLocaleString('en-US')} ${set} rules`;
    const figure = { section: SECTION, name, unit: 'ns', samples: times };
    yield count === MOST_RULES ? { ...figure, target: { atMost: TARGET.searchNs } } : figure;
  }
  const [fewest = 0, most = 0] = [sizes.at(0), sizes.at(-1)];
  for (const set of Object.keys(RULE_SETS)) {
    const of = (size: number) => [...samples].find(([one]) => one.set === set && one.count === size)?.[1] ?? [];
    const few = of(fewest);
    const growth = of(most).map((ns, round) => ns / (few[round] ?? Number.NaN));
    const name = `search for a rule, ${most.toLocaleString('en-US')} against ${fewest.toLocaleString('en-US')} ${set} rules`;
    yield { section: SECTION, name, unit: 'times', samples: growth, target: { atMost: TARGET.growth } };
  }
}

/** The median of several queries, each repeated by itself. */
function searchNs(parts: Parts, { mac, rules }: Case, packet: Uint8Array, repeats: number): number {
  const { policy } = parts.stateOf(mac);
  const times = Array.from({ length: QUERIES }, (_, i) => {
    const rule = rules[Math.floor(((i + 0.5) * rules.length) / QUERIES)];
    if (!rule) throw new RangeError('a policy without rules');
    const { dip, dipr = dip, port, portr = 0 } = rule;
    const [from, to] = [kernelAddressOf(dip), kernelAddressOf(dipr)];
    const peer = { high: from.high, low: from.low + (to.low - from.low) / 2n };
    const peerPort = Math.floor((port + (portr || port)) / 2);
    const { tcp: protocol } = PROTOCOL;
    const local = kernelAddressOf(WORKLOAD_IP);
    parts.ask({ local, peer, localPort: CLIENT_PORT, peerPort, endpoint: policy, protocol });
    return parts.time('classify_question', packet, repeats);
  });
  return spreadOf(times).median;
}

const PACKET: TcpPacket = {
  sourceMac: '02:00:00:00:02:00',
  destinationMac: NODE_MAC,
  source: WORKLOAD_IP,
  destination: SERVER_IP,
  sourcePort: CLIENT_PORT,
  destinationPort: 80,
  flags: TCP_FLAG.syn,
  payloadBytes: 0,
};

function* flows(bench: Bench, parts: Parts, { mac, count }: Case, effort: Effort): Generator<Figure> {
  const known: number[] = [];
  const opened: number[] = [];
  const full: number[] = [];
  const state = parts.stateOf(mac);
  const renew = () => parts.place(macBytes(PACKET.sourceMac), { ...state, id: randomInt(1, MAX_ENDPOINT_ID) });
  for (let round = 0; round < bench.rounds; round++) {
    bench.say(`program time: flows, round ${round + 1} of ${bench.rounds}`);
    renew();
    known.push(knownFlowNs(parts, effort.knownRepeats));
    renew();
    opened.push(newFlowNs(parts, effort.newFlows));
  }
  bench.say('program time: filling the table of flows');
  for (let flow = 0; flow < effort.filling; flow += FILLED_AT_ONCE) {
    renew();
    parts.time('from_workload_by_next_port', tcpPacket(PACKET), Math.min(effort.filling, FILLED_AT_ONCE));
  }
  for (let round = 0; round < bench.rounds; round++) {
    renew();
    full.push(newFlowNs(parts, effort.newFlows));
  }
  const name = `with ${count.toLocaleString('en-US')} benign rules: a packet of`;
  const section = SECTION;
  yield { section, name: `${name} a known flow`, unit: 'ns', samples: known, target: { atMost: TARGET.knownNs } };
  yield { section, name: `${name} a new flow`, unit: 'ns', samples: opened, target: { atMost: TARGET.newNs } };
  yield { section, name: `${name} a new flow, the table full`, unit: 'ns', samples: full };
}

/** Past its handshake and with a payload seen from each side. */
function knownFlowNs(parts: Parts, repeats: number): number {
  const back = {
    sourceMac: PACKET.destinationMac,
    destinationMac: PACKET.sourceMac,
    source: PACKET.destination,
    destination: PACKET.source,
    sourcePort: PACKET.destinationPort,
    destinationPort: PACKET.sourcePort,
  };
  const data = { flags: TCP_FLAG.ack, payloadBytes: 64 };
  parts.verdict('from_workload', tcpPacket(PACKET));
  parts.verdict('to_workload', tcpPacket({ ...back, flags: TCP_FLAG.syn | TCP_FLAG.ack, payloadBytes: 0 }));
  parts.verdict('from_workload', tcpPacket({ ...PACKET, ...data }));
  parts.verdict('to_workload', tcpPacket({ ...back, ...data }));
  return parts.time('from_workload', tcpPacket({ ...PACKET, ...data }), repeats);
}

/** Without what it takes to make each packet another flow's. */
function newFlowNs(parts: Parts, newFlows: number): number {
  const packet = tcpPacket(PACKET);
  const own = parts.time('vary_port', packet, newFlows);
  return parts.time('from_workload_by_next_port', packet, newFlows) - own;
}
