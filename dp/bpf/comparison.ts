// Puts connections to the kernel programs and to the plain loop over the rules, and compares what they say.
import type { FlowKey } from '../kernel/abi.gen.ts';
import { kernelAddressOf } from '../kernel/address.ts';
import type { Policy } from '../policy/policy.ts';
import { referenceClassifier } from '../policy/reference-classifier.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION, hasPorts } from '../protocol/values.ts';
import type { Workload } from './harness.ts';
import { ip } from './packets.ts';
import { describe, type Trial } from './trial.ts';
import { isEcho, laterPacket, type Packet, packetsOf } from './trial-packets.ts';

/** Of a connection that passes until its application is known, `action` and `ruleId` are 0. */
export type Outcome = { readonly verdict: 'pass' | 'drop'; readonly action: number; readonly ruleId: number };

/** It is told what is in force, and then asked. */
export type Judge = typeof referenceClassifier;

/** A connection of which all packets passed. */
export type OpenFlow = {
  readonly trial: Trial;
  readonly clientPort: number;
  readonly application: number | undefined;
  readonly last: Outcome;
  /** The name in the rule that let it in. */
  readonly admittedBy: string | undefined;
};

/** No policy: nothing is policed. */
export type InForce = {
  readonly policy: Policy | undefined;
  readonly namesOf: (address: string) => readonly string[];
};

/** `rule`: the one that decided. */
export type Judged = { readonly trial: Trial; readonly outcome: Outcome; readonly rule: PolicyRule | undefined };

/** The kernel and the loop do not say the same; the message tells what each said, and of what. */
export class Difference extends Error {
  readonly code = 'DIFFERENCE';
}

const NO_ACTION = 0;
const UNPOLICED: Policy = { defaultAction: ACTION.open, directions: DIRECTION.both, rules: [] };
/** In turn, so that each connection has ports of its own. */
const PORTS = { first: 20_000, count: 45_000 } as const;

export class Comparison {
  readonly #workload: Workload;
  readonly #judge: Judge;
  readonly #onJudged: (judged: Judged) => void;
  readonly #flows;
  readonly #denials;
  #inForce: InForce = { policy: undefined, namesOf: () => [] };
  #decide: ReturnType<Judge>;
  #rules = new Map<number, PolicyRule>();
  #hits = new Map<number, bigint>();
  #trials = 0;
  /** Client ports of connections that have an entry in the kernel's tables. */
  readonly #inFlows = new Set<number>();
  readonly #inDenials = new Set<number>();

  /** `onJudged` hears of each packet on which both agree. */
  constructor(workload: Workload, onJudged: (judged: Judged) => void, judge: Judge = referenceClassifier) {
    this.#workload = workload;
    this.#judge = judge;
    this.#onJudged = onJudged;
    this.#flows = workload.harness.datapath.flows();
    this.#denials = workload.harness.datapath.denials();
    this.#decide = judge(UNPOLICED);
  }

  /** Takes note of what the workload has from now on. With another policy, hits are counted anew. */
  change(inForce: InForce): void {
    if (inForce.policy !== this.#inForce.policy) {
      const { rules } = inForce.policy ?? UNPOLICED;
      this.#decide = this.#judge(inForce.policy ?? UNPOLICED);
      const withApps = rules.flatMap((rule) => rule.apps?.map(({ rid }) => [rid, rule] as const) ?? []);
      this.#rules = new Map([...withApps, ...rules.map((rule) => [rule.id, rule] as const)]);
      this.#hits = new Map();
    }
    this.#inForce = inForce;
  }

  /** Puts all packets of a new connection, up to the first that is dropped. Throws Difference. */
  check(trial: Trial): void {
    const clientPort = this.#nextPort();
    try {
      this.#putAll(trial, clientPort);
    } finally {
      this.#forget(trial, clientPort);
    }
  }

  /** The same, but leaves a flow open that passed and was decided on. The list is empty, or has that one. */
  open(trial: Trial): OpenFlow[] {
    const clientPort = this.#nextPort();
    let open: OpenFlow | undefined;
    try {
      open = this.#putAll(trial, clientPort);
    } finally {
      if (!open || open.last.action === NO_ACTION) this.#forget(trial, clientPort);
    }
    return open && open.last.action !== NO_ACTION ? [open] : [];
  }

  /** Of a flow that was left open. */
  forget({ trial, clientPort }: OpenFlow): void {
    this.#forget(trial, clientPort);
  }

  /** Puts the next packet of a flow that was left open, and forgets it. Throws Difference. */
  checkNext(open: OpenFlow): void {
    const { trial, clientPort, application } = open;
    try {
      this.#compare(trial, clientPort, { ...laterPacket(trial, clientPort), application }, open);
    } finally {
      this.#forget(trial, clientPort);
    }
  }

  /** Throws Difference where the kernel has not counted the hits that it should have. */
  checkHits(): void {
    const { harness, mac, id } = this.#workload;
    const revision = harness.engine.workloads.withMac(mac)[0]?.state.revision;
    const { hits } = harness.datapath;
    const own = hits.entries().filter(([key]) => key.endpoint === id);
    for (const [key] of own) hits.delete(key);
    const counted = own
      .filter(([key]) => key.revision === revision)
      .map(([key, { hits: n }]) => [key.ruleId, n] as const);
    const [expected, actual] = [[...this.#hits], counted].map((list) => list.sort(([a], [b]) => a - b).join(' '));
    this.#hits = new Map();
    if (expected !== actual) throw new Difference(`hits ${actual}, not ${expected}`);
  }

  #nextPort(): number {
    return PORTS.first + (this.#trials++ % PORTS.count);
  }

  #putAll(trial: Trial, clientPort: number): OpenFlow | undefined {
    let open: OpenFlow | undefined;
    for (const packet of packetsOf(trial, clientPort)) {
      open = this.#compare(trial, clientPort, packet, open);
      if (!open) return undefined;
    }
    return open;
  }

  /** The flow as it goes on, where it does. */
  #compare(trial: Trial, clientPort: number, packet: Packet, before: OpenFlow | undefined): OpenFlow | undefined {
    const { application } = packet;
    const outcome = this.#expect(trial, application, before?.admittedBy);
    const actual = this.#put(trial, clientPort, packet);
    if (!isSame(outcome, actual)) {
      const said = `${JSON.stringify(outcome)} by the loop, ${JSON.stringify(actual)} by the kernel`;
      throw new Difference(`${said}, of ${describe(trial)}`);
    }
    const rule = this.#rules.get(outcome.ruleId);
    this.#countHit(outcome, before?.last.action ?? NO_ACTION, trial);
    this.#onJudged({ trial, outcome, rule });
    if (outcome.verdict === 'drop') return undefined;
    return { trial, clientPort, application, last: outcome, admittedBy: rule?.fqdn };
  }

  #expect(
    { direction, local, peer, protocol, port }: Trial,
    application: number | undefined,
    admittedBy: string | undefined,
  ): Outcome {
    const names = this.#inForce.namesOf(peer);
    const decision = this.#decide({ direction, local, peer, protocol, port, application, names, admittedBy });
    if (decision === 'undecided') return { verdict: 'pass', action: NO_ACTION, ruleId: 0 };
    return { verdict: decision.action === ACTION.deny ? 'drop' : 'pass', ...decision };
  }

  #countHit({ action, ruleId }: Outcome, before: number, { direction }: Trial): void {
    const policed = this.#inForce.policy?.directions ?? 0;
    const isPoliced = policed & (direction === 'ingress' ? DIRECTION.ingress : DIRECTION.egress);
    if (isPoliced && action !== NO_ACTION && action !== before)
      this.#hits.set(ruleId, (this.#hits.get(ruleId) ?? 0n) + 1n);
  }

  #put(trial: Trial, clientPort: number, { side, body }: Packet): Outcome {
    const { direction, local, peer, protocol, carries } = trial;
    const isOut = (side === 'client') === (direction === 'egress');
    const ends = this.#workload.ends(peer, isOut ? 'out' : 'in');
    const frame = ip({ ...ends, ...(isOut ? { source: local } : { destination: local }) }, protocol, body, carries);
    const verdict = isOut ? this.#workload.send(frame) : this.#workload.receive(frame);
    const [table, ports] = verdict === 'drop' ? [this.#denials, this.#inDenials] : [this.#flows, this.#inFlows];
    ports.add(clientPort);
    const found = table.get(this.#keyOf(trial, clientPort));
    return { verdict, action: Number((found?.decision ?? 0n) & 0xffn), ruleId: found?.ruleId ?? 0 };
  }

  /** It must not meet the flow that has its ports next time round. */
  #forget(trial: Trial, clientPort: number): void {
    const key = this.#keyOf(trial, clientPort);
    if (this.#inFlows.delete(clientPort)) this.#flows.delete(key);
    if (this.#inDenials.delete(clientPort)) this.#denials.delete(key);
  }

  #keyOf(trial: Trial, clientPort: number): FlowKey {
    const { direction, local, peer, protocol, port } = trial;
    const [client, server] = isEcho(trial) ? [clientPort, 0] : hasPorts(protocol) ? [clientPort, port] : [0, 0];
    const [localPort, peerPort] = direction === 'egress' ? [client, server] : [server, client];
    const endpoint = this.#workload.id;
    return { local: kernelAddressOf(local), peer: kernelAddressOf(peer), localPort, peerPort, endpoint, protocol };
  }
}

const isSame = (a: Outcome, b: Outcome): boolean =>
  a.verdict === b.verdict && a.action === b.action && a.ruleId === b.ruleId;
