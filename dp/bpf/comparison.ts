// Puts one connection to the kernel programs and to the plain loop over the rules, and compares what they say.
import type { FlowKey } from '../kernel/abi.gen.ts';
import { kernelAddressOf } from '../kernel/address.ts';
import type { Policy } from '../policy/policy.ts';
import { type Decision, referenceClassifier } from '../policy/reference-classifier.ts';
import { APPLICATION } from '../protocol/applications.ts';
import { ACTION, DIRECTION, PROTOCOL } from '../protocol/values.ts';
import type { Side } from './connection.ts';
import type { Workload } from './harness.ts';
import { icmp, icmpProtocolOf, ip, TCP_FLAG, tcp, udp } from './packets.ts';
import type { FirstPayload } from './payloads.ts';

/** A connection, and what its sides say first, in that order. */
export type Trial = {
  readonly direction: 'egress' | 'ingress';
  readonly local: string;
  readonly peer: string;
  readonly protocol: number;
  readonly port: number;
  readonly says: readonly FirstPayload[];
};

type Packet = { readonly side: Side; readonly body: Uint8Array; readonly application: number | undefined };
type Outcome = { readonly verdict: 'pass' | 'drop'; readonly action: number; readonly ruleId: number };

const NO_ACTION = 0;
const CLIENT_START = 1_000_000;
const SERVER_START = 9_000_000;
const ECHO = { [PROTOCOL.icmp]: 8, [PROTOCOL.icmpv6]: 128 } as const;
const { ack, psh, syn } = TCP_FLAG;
/** In turn, so that each connection has ports of its own. */
const PORTS = { first: 20_000, count: 45_000 } as const;

export class Comparison {
  readonly #workload: Workload;
  readonly #policy: Policy;
  readonly #decide: ReturnType<typeof referenceClassifier>;
  readonly #namesOf: (address: string) => readonly string[];
  readonly #hits = new Map<number, bigint>();
  #trials = 0;
  /** Packets whose verdict, action and rule were compared. */
  verdicts = 0;
  /** Of these, what became of them: a comparison means little where all go one way. */
  readonly tally = { dropped: 0, byRule: 0, undecided: 0 };

  /** `policy`: what is in force for the workload. */
  constructor(workload: Workload, policy: Policy, namesOf: (address: string) => readonly string[] = () => []) {
    this.#workload = workload;
    this.#policy = policy;
    this.#decide = referenceClassifier(policy);
    this.#namesOf = namesOf;
  }

  /** Puts a whole policy in force for the workload. */
  static enforce(...[workload, policy, namesOf]: ConstructorParameters<typeof Comparison>): Comparison {
    workload.enforce({ defact: policy.defaultAction, dir: policy.directions, rules: [...policy.rules] });
    return new Comparison(workload, policy, namesOf);
  }

  /** In words, where the two differ. */
  difference(trial: Trial): string | undefined {
    const clientPort = PORTS.first + (this.#trials++ % PORTS.count);
    const key = this.#keyOf(trial, clientPort);
    const { flows, denials } = {
      flows: this.#workload.harness.datapath.flows(),
      denials: this.#workload.harness.datapath.denials(),
    };
    let before = NO_ACTION;
    try {
      for (const packet of packetsOf(trial, clientPort)) {
        const expected = this.#expect(trial, packet.application);
        const verdict = this.#put(trial, packet);
        const found = verdict === 'drop' ? denials.get(key) : flows.get(key);
        const actual = { verdict, action: Number((found?.decision ?? 0n) & 0xffn), ruleId: found?.ruleId ?? 0 };
        this.#count(expected, before, trial);
        before = expected.action;
        if (!isSame(expected, actual))
          return `${JSON.stringify(expected)} by the loop, ${JSON.stringify(actual)} by the kernel, of ${describe(trial)}`;
        if (verdict === 'drop') return undefined;
      }
      return undefined;
    } finally {
      flows.delete(key);
      denials.delete(key);
    }
  }

  /** In words, where the kernel has not counted the hits that it should have. */
  hitsDifference(): string | undefined {
    const revision = this.#workload.harness.engine.workloads.withMac(this.#workload.mac)[0]?.state.revision;
    const counted = this.#workload.harness.datapath.hits
      .entries()
      .filter(([key]) => key.endpoint === this.#workload.id && key.revision === revision)
      .map(([key, { hits }]): [number, bigint] => [key.ruleId, hits]);
    const [expected, actual] = [[...this.#hits], counted].map((hits) => hits.sort(([a], [b]) => a - b).join(' '));
    return expected === actual ? undefined : `hits ${actual}, not ${expected}`;
  }

  #expect({ direction, local, peer, protocol, port }: Trial, application: number | undefined): Outcome {
    const names = this.#namesOf(peer);
    const decision: Decision = this.#decide({ direction, local, peer, protocol, port, application, names });
    if (decision === 'undecided') return { verdict: 'pass', action: NO_ACTION, ruleId: 0 };
    return { verdict: decision.action === ACTION.deny ? 'drop' : 'pass', ...decision };
  }

  #count({ verdict, action, ruleId }: Outcome, before: number, { direction }: Trial): void {
    this.verdicts += 1;
    this.tally.dropped += Number(verdict === 'drop');
    this.tally.byRule += Number(ruleId !== 0);
    this.tally.undecided += Number(action === NO_ACTION);
    const isPoliced = this.#policy.directions & (direction === 'ingress' ? DIRECTION.ingress : DIRECTION.egress);
    if (isPoliced && action !== NO_ACTION && action !== before)
      this.#hits.set(ruleId, (this.#hits.get(ruleId) ?? 0n) + 1n);
  }

  #put({ direction, local, peer, protocol }: Trial, { side, body }: Packet): 'pass' | 'drop' {
    const isOut = (side === 'client') === (direction === 'egress');
    const ends = this.#workload.ends(peer, isOut ? 'out' : 'in');
    const frame = ip({ ...ends, ...(isOut ? { source: local } : { destination: local }) }, protocol, body);
    return isOut ? this.#workload.send(frame) : this.#workload.receive(frame);
  }

  #keyOf({ direction, local, peer, protocol, port }: Trial, clientPort: number): FlowKey {
    const isEcho = protocol === icmpProtocolOf(peer);
    const [client, server] = isEcho ? [clientPort, 0] : hasPorts(protocol) ? [clientPort, port] : [0, 0];
    const [localPort, peerPort] = direction === 'egress' ? [client, server] : [server, client];
    const endpoint = this.#workload.id;
    return { local: kernelAddressOf(local), peer: kernelAddressOf(peer), localPort, peerPort, endpoint, protocol };
  }
}

export const hasPorts = (protocol: number): boolean => protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp;

export function describe({ says, ...trial }: Trial): string {
  return JSON.stringify({ ...trial, says: says.map(({ by, side, application }) => `${application} (${by}, ${side})`) });
}

const isSame = (a: Outcome, b: Outcome): boolean =>
  a.verdict === b.verdict && a.action === b.action && a.ruleId === b.ruleId;

/** The packets of a connection, each with what is known of its application once it has passed. */
function packetsOf(trial: Trial, clientPort: number): Packet[] {
  const { protocol, peer, says } = trial;
  if (protocol === PROTOCOL.tcp) return tcpPackets(trial, clientPort);
  if (protocol === PROTOCOL.udp) return udpPackets(trial, clientPort);
  const echo =
    icmpProtocolOf(peer) === protocol ? icmp(ECHO[protocol as keyof typeof ECHO], 0, clientPort << 16) : undefined;
  return says.length > 0 ? [] : [{ side: 'client', body: echo ?? Buffer.alloc(8), application: undefined }];
}

function tcpPackets({ port, says }: Trial, clientPort: number): Packet[] {
  const to = { sourcePort: clientPort, destinationPort: port };
  const back = { sourcePort: port, destinationPort: clientPort };
  const application = undefined;
  const packets: Packet[] = [{ side: 'client', body: tcp({ ...to, flags: syn, sequence: CLIENT_START }), application }];
  if (says.length > 0)
    packets.push({ side: 'server', body: tcp({ ...back, flags: syn | ack, sequence: SERVER_START }), application });
  for (const [i, { side, bytes: payload }] of says.entries()) {
    const segment = side === 'client' ? { ...to, sequence: CLIENT_START + 1 } : { ...back, sequence: SERVER_START + 1 };
    packets.push({
      side,
      body: tcp({ ...segment, flags: psh | ack, payload }),
      application: knownAfter(says.slice(0, i + 1)),
    });
  }
  return packets;
}

/** The client speaks first, and its first datagram tells the application or that none will be told. */
function udpPackets({ port, says }: Trial, clientPort: number): Packet[] {
  const to = { sourcePort: clientPort, destinationPort: port };
  const back = { sourcePort: port, destinationPort: clientPort };
  if (says.length === 0) return [{ side: 'client', body: udp(to), application: undefined }];
  return says.map(({ side, bytes }, i) => ({
    side,
    body: udp(side === 'client' ? to : back, bytes),
    application: knownAfter(says.slice(0, i + 1)) ?? 0,
  }));
}

function knownAfter(says: readonly FirstPayload[]): number | undefined {
  const told = says.find(({ application }) => application !== 'unknown');
  if (told && told.application !== 'unknown') return APPLICATION[told.application];
  return new Set(says.map(({ side }) => side)).size === 2 ? 0 : undefined;
}
