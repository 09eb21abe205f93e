// Decides on the packets of queues by the reference classifier, with the same care for flows, fragments and ICMP errors as the
// kernel programs (bpf/policy.bpf.c): what one of both lets pass, the other does.
import {
  action as ACTION,
  direction as DIRECTION,
  type Endpoint,
  reason as REASON,
  seen as SEEN,
} from '../kernel/abi.gen.ts';
import { textOf } from '../kernel/address.ts';
import { applicationNumber } from '../policy/applications.ts';
import type { KeptPolicy } from '../policy/kept-policy.ts';
import { type Connection, type Decision, referenceClassifier } from '../policy/reference-classifier.ts';
import type { Workload } from '../policy/workload.ts';
import { carriesApplications, DIRECTION as DIR, hasPorts, PROTOCOL } from '../protocol/values.ts';
import {
  addressOf,
  begins,
  type Direction,
  type Ends,
  endsOf,
  noteTcp,
  openerOf,
  type QueueDenial,
  type QueueFlow,
  QueueFlows,
} from './flows.ts';
import { FragmentVerdicts } from './fragments.ts';
import { type Packet, readPacket, readQuoted, TCP } from './packet.ts';

/** A side that has sent this much while the other kept silent says no more about itself. */
const SILENCE_BYTES = 2048;
const HALF = 2 ** 31;
/** A denied flow is reported at most once in 2 s. */
const REPORT_TICKS = 3;

/** A packet as it came, and which way it goes. */
export type Queued = {
  /** From its IP header on; may be cut. */
  readonly bytes: Buffer;
  /** Of the whole packet. */
  readonly length: number;
  readonly direction: Direction;
};

/** How a report came about. */
export type Cause = {
  readonly reason: number;
  readonly action: number;
  readonly count: number;
  readonly ruleId: number;
  readonly flowDirection: Direction;
  readonly application: number;
  readonly passed: boolean;
};

/** What deciding needs to know, and whom it tells. */
export type Surroundings = {
  now(): number;
  /** Every name that an address is known to have. */
  namesOf(address: string): readonly string[];
  /** The code of the application that dp was told a port speaks; 0 is none. */
  toldApplication(endpoint: number, port: number, protocol: number): number;
  /** The code of the application that a side's first payload of so many bytes tells; 0 is none. */
  identify(payload: Uint8Array, bytes: number, isFromClient: boolean, isTcp: boolean): number;
  countHit(endpoint: Endpoint, ruleId: number): void;
  /** Answers how many packets a report now stands for; 0: none is due. */
  countDrop(endpoint: Endpoint, reason: number): number;
  report(queued: Queued, packet: Packet, workload: Workload, cause: Cause): void;
};

type Judge = { readonly classify: (connection: Connection) => Decision; readonly nameOf: ReadonlyMap<number, string> };

export class QueuePolicing {
  readonly flows = new QueueFlows();
  /** Decisions on connections by action, and dropped packets by reason, since dp started; as `counters` of the kernel programs. */
  readonly verdicts = new Map<number, number>();
  readonly drops = new Map<number, number>();
  readonly #fragments = new FragmentVerdicts();
  readonly #around: Surroundings;
  readonly #judges = new WeakMap<KeptPolicy, Judge>();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Whether the packet passes. */
  decide(queued: Queued, workload: Workload): boolean {
    const packet = readPacket(queued.bytes, queued.length);
    switch (packet.kind) {
      case 'passed':
        return true;
      case 'flow': {
        const passes = this.#policeFlow(queued, packet, workload);
        if (packet.isFirstFragment) this.#fragments.remember(packet, workload.state.id, passes, this.#around.now());
        return passes;
      }
      case 'fragment':
        return (
          this.#fragments.verdict(packet, workload.state.id, this.#around.now()) ??
          this.#refuse(queued, packet, workload, REASON.orphanFragment)
        );
      case 'icmpError':
        return (
          this.#isWelcome(queued, packet, workload) || this.#refuse(queued, packet, workload, REASON.strayIcmpError)
        );
      case 'invalid':
        return this.#refuse(queued, packet, workload, REASON.invalidPacket);
    }
  }

  /** A packet that is no flow's: dropped where its direction is policed. */
  #refuse(queued: Queued, packet: Packet, workload: Workload, reason: number): boolean {
    const { state } = workload;
    const { direction } = queued;
    if (!isPoliced(state, direction)) return true;
    const passed = state.tap !== 0;
    const count = this.#around.countDrop(state, reason);
    const action = passed ? ACTION.violate : ACTION.deny;
    const cause = { reason, action, count, ruleId: 0, flowDirection: direction, application: 0, passed };
    if (count > 0) this.#around.report(queued, packet, workload, cause);
    if (!passed) increase(this.drops, reason);
    return passed;
  }

  /** An error goes to who sent the packet that it quotes, and only while that one would pass. */
  #isWelcome({ bytes, direction }: Queued, error: Packet, { state }: Workload): boolean {
    const quoted = readQuoted(bytes, error);
    if (quoted.source !== error.destination) return false;
    if (quoted.kind === 'fragment') return this.#fragments.verdict(quoted, state.id, this.#around.now()) ?? false;
    if (quoted.kind !== 'flow') return false;
    const flow = this.flows.get(endsOf(quoted, other(direction), state.id));
    return flow !== undefined && flow.epoch === state.epoch && flow.action !== ACTION.deny;
  }

  #policeFlow(queued: Queued, packet: Packet, workload: Workload): boolean {
    const ends = endsOf(packet, queued.direction, workload.state.id);
    const flow = this.flows.get(ends);
    const now = this.#around.now();
    if (!flow || begins(flow, packet, queued.direction, now)) return this.#open(queued, packet, workload, ends);
    flow.packets[queued.direction] += 1;
    flow.bytes[queued.direction] += frameBytes(queued);
    if (flow.lastSeen !== now) {
      flow.lastSeen = now;
      this.flows.set(flow);
    }
    return this.#goOn(queued, packet, workload, flow);
  }

  #open(queued: Queued, packet: Packet, workload: Workload, ends: Ends): boolean {
    const { state } = workload;
    const denial = this.flows.denial(ends);
    const flow = newFlow(queued, packet, ends, this.#around.now());
    const isMidway = ends.protocol === PROTOCOL.tcp && !(packet.tcpFlags & TCP.syn);
    const isSame = denial?.direction === flow.direction;
    if (isMidway && denial && isSame && !denial.isPast && !denial.isUnidentified) {
      flow.application = denial.application;
      flow.seen |= SEEN.payloads;
    }
    /* What its application was denied for says nothing of the next connection on these ports. */
    if (denial && isSame && denial.epoch === state.epoch && denial.isUnidentified) {
      Object.assign(flow, { action: denial.action, ruleId: denial.ruleId, epoch: denial.epoch, isUnidentified: true });
      return this.#deny(queued, packet, workload, flow);
    }
    noteTcp(flow, packet, queued.direction);
    this.#lookAtPayload(queued, packet, flow);
    this.#judge(workload, flow);
    const isAgain = isSame && denial !== undefined && isDecision(denial, flow);
    if (!isAgain) this.#settle(state, flow, ACTION.none);
    if (flow.action === ACTION.deny) return this.#deny(queued, packet, workload, flow);
    if (denial) denial.isPast = true;
    if (flow.action === ACTION.violate) this.#reportFlow(queued, packet, workload, flow, 1);
    this.flows.set(flow);
    return true;
  }

  /** A packet that may change what is known or decided of its flow. */
  #goOn(queued: Queued, packet: Packet, workload: Workload, flow: QueueFlow): boolean {
    const { state } = workload;
    const before = { action: flow.action, application: flow.application, seen: flow.seen };
    noteTcp(flow, packet, queued.direction);
    if (flow.isUnidentified) this.#lookAtPayload(queued, packet, flow);
    const isNews = flow.application !== before.application || ((flow.seen ^ before.seen) & SEEN.payloads) !== 0;
    if (flow.epoch !== state.epoch || isNews) {
      this.#judge(workload, flow);
      this.#settle(state, flow, before.action);
    }
    if (flow.action === ACTION.deny) return this.#deny(queued, packet, workload, flow);
    if (flow.action !== before.action && flow.action === ACTION.violate)
      this.#reportFlow(queued, packet, workload, flow, 1);
    return true;
  }

  #lookAtPayload({ bytes, direction }: Queued, packet: Packet, flow: QueueFlow): void {
    const { payloadAt, payloadBytes, protocol, sequence, tcpFlags } = packet;
    const isTcp = protocol === PROTOCOL.tcp;
    if (payloadBytes === 0) return;
    if (isTcp && !(flow.seen & (SEEN.startEgress << direction))) {
      flow.seen |= SEEN.payloads | SEEN.tooLate;
      return;
    }
    const offset = isTcp ? (sequence + (tcpFlags & TCP.syn ? 1 : 0) - (flow.start[direction] ?? 0)) >>> 0 : 0;
    if (offset === 0) {
      const isFromClient = direction === flow.direction;
      flow.application = this.#around.identify(bytes.subarray(payloadAt), payloadBytes, isFromClient, isTcp);
      flow.seen |= SEEN.payloadEgress << direction;
    }
    if (flow.application || !isTcp || (offset > SILENCE_BYTES && offset < HALF)) flow.seen |= SEEN.payloads;
  }

  /** Sets action, rule and name of a flow by the policy in force. */
  #judge(workload: Workload, flow: QueueFlow): void {
    const { state, policy } = workload;
    const { endpoint, localPort, protocol } = flow.ends;
    if (!flow.application && flow.direction === DIRECTION.ingress && isIdentified(flow))
      flow.application = this.#around.toldApplication(endpoint, localPort, protocol);
    const decision = this.#decisionOn(flow, state, policy);
    flow.epoch = state.epoch;
    flow.isUnidentified = !isIdentified(flow);
    flow.ruleId = decision === 'undecided' ? 0 : decision.ruleId;
    flow.action = decision === 'undecided' ? ACTION.none : decision.action;
    flow.name = policy && this.#judgeOf(policy).nameOf.get(flow.ruleId);
    if (flow.action === ACTION.deny && state.tap) flow.action = ACTION.violate;
  }

  #decisionOn(flow: QueueFlow, state: Endpoint, policy: KeptPolicy | undefined): Decision {
    if (!isPoliced(state, flow.direction)) return { action: ACTION.open, ruleId: 0 };
    // The policy of a dp before this one: which rules it has is not known until it is sent again.
    if (!policy) return { action: ACTION.deny, ruleId: 0 };
    return this.#judgeOf(policy).classify(connectionOf(flow, (address) => this.#around.namesOf(address)));
  }

  #judgeOf(policy: KeptPolicy): Judge {
    const known = this.#judges.get(policy);
    if (known) return known;
    const whole = policy.unpacked();
    const named = whole.rules.flatMap(({ id, fqdn, apps = [] }): [number, string][] =>
      fqdn ? [id, ...apps.map(({ rid }) => rid)].map((one) => [one, fqdn]) : [],
    );
    const judge = { classify: referenceClassifier(whole), nameOf: new Map(named) };
    this.#judges.set(policy, judge);
    return judge;
  }

  /** Counts a rule's hit, and the verdict, where it decides on a flow for the first time, or turns what was decided. */
  #settle(state: Endpoint, flow: QueueFlow, before: number): void {
    if (flow.action === ACTION.none || before === flow.action || !isPoliced(state, flow.direction)) return;
    this.#around.countHit(state, flow.ruleId);
    increase(this.verdicts, flow.action);
  }

  #deny(queued: Queued, packet: Packet, workload: Workload, flow: QueueFlow): boolean {
    const now = this.#around.now();
    const known = this.flows.denial(flow.ends);
    const { epoch, action, ruleId, isUnidentified, application, direction } = flow;
    this.#around.countDrop(workload.state, REASON.policy);
    increase(this.drops, REASON.policy);
    if (known?.ruleId !== ruleId || known.direction !== direction) {
      const first: QueueDenial = {
        epoch,
        action,
        ruleId,
        isUnidentified,
        application,
        direction,
        isPast: false,
        reported: now,
        unreported: 0,
      };
      this.flows.setDenial(flow.ends, first);
      this.#reportFlow(queued, packet, workload, flow, 1);
      return false;
    }
    Object.assign(known, { epoch, action, isUnidentified, application, isPast: false });
    if (now - known.reported >= REPORT_TICKS) {
      this.#reportFlow(queued, packet, workload, flow, known.unreported + 1);
      Object.assign(known, { reported: now, unreported: 0 });
    } else {
      known.unreported += 1;
    }
    return false;
  }

  #reportFlow(queued: Queued, packet: Packet, workload: Workload, flow: QueueFlow, count: number): void {
    const { action, ruleId, direction: flowDirection, application } = flow;
    const passed = action !== ACTION.deny;
    this.#around.report(queued, packet, workload, {
      reason: REASON.policy,
      action,
      count,
      ruleId,
      flowDirection,
      application,
      passed,
    });
  }
}

const increase = (counts: Map<number, number>, of: number): void => {
  counts.set(of, (counts.get(of) ?? 0) + 1);
};

const ETHERNET_BYTES = 14;
/** From an Ethernet header on, as all reports count. */
export const frameBytes = ({ length }: Queued): number => length + ETHERNET_BYTES;

const other = (direction: Direction): Direction =>
  direction === DIRECTION.egress ? DIRECTION.ingress : DIRECTION.egress;

export const isPoliced = ({ policy, directions }: Endpoint, direction: Direction): boolean =>
  policy !== 0 && (directions & (direction === DIRECTION.ingress ? DIR.ingress : DIR.egress)) !== 0;

/** Whether nothing more will be known of its application. */
const isIdentified = ({ ends, application, seen }: QueueFlow): boolean =>
  !carriesApplications(ends.protocol) || application !== 0 || (seen & SEEN.payloads) === SEEN.payloads;

const isDecision = (denial: QueueDenial, { epoch, action, isUnidentified }: QueueFlow): boolean =>
  denial.epoch === epoch && denial.action === action && denial.isUnidentified === isUnidentified;

function newFlow(queued: Queued, packet: Packet, ends: Ends, now: number): QueueFlow {
  const sides = (value: number): [number, number] => (queued.direction === DIRECTION.egress ? [value, 0] : [0, value]);
  return {
    ends,
    action: ACTION.none,
    epoch: 0,
    isUnidentified: true,
    ruleId: 0,
    name: undefined,
    firstSeen: now,
    lastSeen: now,
    start: [0, 0],
    seen: 0,
    direction: openerOf(ends, packet, queued.direction),
    application: 0,
    packets: sides(1),
    bytes: sides(frameBytes(queued)),
  };
}

/** What the classifier is asked. An address that a name has lost still has the name that let the connection in. */
function connectionOf(flow: QueueFlow, namesOf: (address: string) => readonly string[]): Connection {
  const { local, localPort, peer, peerPort, protocol } = flow.ends;
  const isIngress = flow.direction === DIRECTION.ingress;
  const peerText = textOf(addressOf(peer));
  return {
    direction: isIngress ? 'ingress' : 'egress',
    local: textOf(addressOf(local)),
    peer: peerText,
    protocol,
    port: hasPorts(protocol) ? (isIngress ? localPort : peerPort) : 0,
    application: applicationOf(flow),
    names: namesOf(peerText),
    admittedBy: flow.name,
  };
}

function applicationOf(flow: QueueFlow): Connection['application'] {
  if (!isIdentified(flow)) return undefined;
  return !flow.application && flow.seen & SEEN.tooLate ? 'any' : applicationNumber(flow.application);
}
