// Makes dp enforce what is wanted: one workload after the other, each until dp confirms it.
import { commandOfNumber } from '@podwall/dp/protocol/commands.ts';
import { ERROR_CODE, type Report } from '@podwall/dp/protocol/reports.ts';
import type { Logger } from 'pino';
import type { ComputedPolicy } from '../policy/policy.ts';
import { command } from './batches.ts';
import { type Answer, Confirmation } from './confirmation.ts';
import { PolicyLatency } from './latency.ts';
import { NameAddresses } from './names.ts';
import { Revisions } from './revisions.ts';
import { enforcementFor, registrationFor, type Steps, type Target, type Told } from './steps.ts';

export const CONFIRM_TIMEOUT_MS = 5000;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export type EnforcementOptions = {
  /** Rejects where the connection is gone; connected() then follows once it is there again. */
  readonly send: (datagrams: readonly Buffer[]) => Promise<void>;
  readonly log: Logger;
  readonly confirmTimeoutMs?: number;
  /** Addresses of the DNS servers whose answers to workloads teach the addresses of names. */
  readonly answersFrom: readonly string[];
  /** A policy waits until its names were looked up, so that nothing it allows is refused for want of addresses. */
  readonly isNameSettled: (name: string) => boolean;
  /** What is in force for a workload changed, or the reason why it does not. */
  readonly onChange: () => void;
  /** dp reports an error that belongs to no workload. */
  readonly onError: (text: string) => void;
};

export type EnforcementState = { readonly inForce?: ComputedPolicy; readonly error?: string };

type Workload = {
  target: Target;
  told: Told;
  /** There may be something to tell dp. */
  isDue: boolean;
  /** What dp has confirmed, on this or an earlier connection. */
  inForce?: ComputedPolicy;
  error?: string;
  failures: number;
  /** Not before then, in ms since 1970. */
  retryAt: number;
};

export class Enforcement implements Disposable {
  readonly revisions = new Revisions();
  readonly latency = new PolicyLatency();
  readonly #options: EnforcementOptions;
  readonly #names = new NameAddresses();
  readonly #workloads = new Map<string, Workload>();
  /** By MAC and interface: dp is to forget them. */
  readonly #removed = new Map<string, Target>();
  #confirmation: Confirmation | undefined;
  #isConnected = false;
  #areResolversTold = false;
  #isWorking = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: EnforcementOptions) {
    this.#options = options;
  }

  /** By MAC: every workload of the node that can be policed. A target that is another object is another target. */
  setTargets(targets: ReadonlyMap<string, Target>): void {
    for (const [mac, { target }] of this.#workloads) {
      if (targets.has(mac)) continue;
      this.#workloads.delete(mac);
      this.revisions.remove(mac);
      this.#removed.set(endpointOf(target), target);
    }
    for (const [mac, target] of targets) {
      this.#removed.delete(endpointOf(target));
      this.#setTarget(mac, target);
    }
    this.wake();
  }

  /** One of them, before the others are said. */
  setTarget(target: Target): void {
    this.#removed.delete(endpointOf(target));
    this.#setTarget(target.mac, target);
    this.wake();
  }

  /** All addresses of a name. */
  setAddresses(name: string, addresses: readonly string[]): void {
    this.#names.set(name, addresses);
    this.wake();
  }

  stateOf(mac: string): EnforcementState {
    const { inForce, error } = this.#workloads.get(mac) ?? {};
    return { ...(inForce && { inForce }), ...(error !== undefined && { error }) };
  }

  /** Every policy that dp has confirmed. */
  inForce(): ComputedPolicy[] {
    return [...this.#workloads.values()].flatMap(({ inForce }) => inForce ?? []);
  }

  /** The workload that a report of dp is about. */
  targetOf(mac: string): Target | undefined {
    return this.#workloads.get(mac)?.target;
  }

  /** The names of all policies that are wanted or in force. */
  fqdns(): ReadonlySet<string> {
    const workloads = [...this.#workloads.values()];
    return new Set(
      workloads.flatMap(({ target, inForce }) => [...(target.computed?.fqdns ?? []), ...(inForce?.fqdns ?? [])]),
    );
  }

  connected(): void {
    this.#isConnected = true;
    this.#areResolversTold = false;
    for (const workload of this.#workloads.values()) forget(workload);
    this.wake();
  }

  lost(): void {
    this.#isConnected = false;
    this.#names.forgetTold();
    this.#confirmation?.end('dp was lost before it confirmed the policy');
  }

  report(report: Report): void {
    if (this.#confirmation?.takes(report)) return;
    if (report.kind === 'policyRealized') {
      const { mac, epoch } = report.realized;
      const last = this.revisions.last(mac);
      if (last) this.revisions.add(mac, { ...last, epoch }); // dp counts on for reasons of its own
    } else if (report.kind === 'error') {
      const isOfRemoved = report.code === ERROR_CODE.unknownMac && commandOfNumber(report.command) === 'ctrl_del_mac';
      if (!isOfRemoved) this.#options.onError(report.text);
    }
  }

  /** Looks for what is to be told; to be called when anything that this depends on changed. */
  wake(): void {
    if (this.#isWorking || !this.#isConnected) return;
    this.#isWorking = true;
    this.#work()
      .catch((error: unknown) => {
        // With the connection gone; on the next one, everything is sent again.
        this.#options.log.debug({ error: String(error) }, 'send to dp failed');
      })
      .finally(() => {
        this.#isWorking = false;
        if (this.#isConnected && this.#next()) this.wake();
      });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    this.#isConnected = false;
    this.#confirmation?.end('the agent ends');
  }

  #setTarget(mac: string, target: Target): void {
    const known = this.#workloads.get(mac);
    if (known?.target !== target) this.latency.wanted(target, performance.now());
    // To dp, another interface is another workload, even with the same MAC.
    if (!known || endpointOf(known.target) !== endpointOf(target)) {
      if (known) this.#removed.set(endpointOf(known.target), known.target);
      this.revisions.remove(mac);
      this.#workloads.set(mac, { target, told: {}, isDue: true, failures: 0, retryAt: 0 });
    } else if (known.target !== target) {
      known.target = target;
      known.isDue = true;
      known.retryAt = 0;
    }
  }

  async #work(): Promise<void> {
    while (this.#isConnected) {
      await this.#tellResolvers();
      await this.#register();
      const { datagrams, told } = this.#names.changes(this.fqdns());
      if (datagrams.length > 0) await this.#options.send(datagrams);
      told();
      const next = this.#next();
      if (!next) return;
      await this.#program(...next);
    }
  }

  /** Before all else: what workloads are answered from then on counts. */
  async #tellResolvers(): Promise<void> {
    if (this.#areResolversTold) return;
    this.#areResolversTold = true;
    await this.#options.send([command('ctrl_sys_conf', { resolvers: [...this.#options.answersFrom] })]);
  }

  async #register(): Promise<void> {
    for (const [endpoint, { mac, hostInterface }] of this.#removed) {
      await this.#options.send([command('ctrl_del_mac', { iface: hostInterface.name, mac })]);
      this.#removed.delete(endpoint);
    }
    for (const workload of this.#workloads.values()) {
      if (!workload.isDue) continue;
      const { datagrams, told } = registrationFor(workload.target, workload.told);
      if (datagrams.length > 0) await this.#tell(workload, datagrams, told);
    }
  }

  /** The next workload that dp is to be told of, and what: those that have no policy yet go first. */
  #next(): [Workload, Steps] | undefined {
    let nextRetryAt = Number.POSITIVE_INFINITY;
    const all = [...this.#workloads.values()];
    for (const workload of [...all.filter(isNew), ...all.filter((each) => !isNew(each))]) {
      if (!workload.isDue || !this.#areNamesSettled(workload.target)) continue;
      if (workload.retryAt > Date.now()) {
        nextRetryAt = Math.min(nextRetryAt, workload.retryAt);
        continue;
      }
      const steps = enforcementFor(workload.target, workload.told);
      if (steps.datagrams.length > 0) return [workload, steps];
      workload.isDue = false;
      this.latency.forget(workload.target); // it was in force already
      this.#takeOver(workload);
    }
    clearTimeout(this.#retry);
    if (nextRetryAt < Number.POSITIVE_INFINITY)
      this.#retry = setTimeout(() => this.wake(), Math.max(nextRetryAt - Date.now(), 1));
    return undefined;
  }

  #areNamesSettled({ computed }: Target): boolean {
    return !computed || computed.fqdns.every((name) => this.#options.isNameSettled(name));
  }

  async #program(workload: Workload, { datagrams, told, awaitedRules }: Steps): Promise<void> {
    const { target } = workload;
    if (awaitedRules === undefined) return this.#tell(workload, datagrams, told);
    const startedAt = performance.now();
    const confirmation = new Confirmation(
      target.mac,
      awaitedRules,
      this.#options.confirmTimeoutMs ?? CONFIRM_TIMEOUT_MS,
    );
    this.#confirmation = confirmation;
    try {
      await this.#tell(workload, datagrams, told);
      const fields = { workload: target.name, mac: target.mac, rules: awaitedRules };
      this.#options.log.info({ ...fields, datagrams: datagrams.length }, 'policy sent');
      this.#settle(workload, target, await confirmation.answer, performance.now() - startedAt);
    } finally {
      confirmation.end('sending failed');
      this.#confirmation = undefined;
    }
  }

  async #tell(workload: Workload, datagrams: readonly Buffer[], told: Told): Promise<void> {
    await this.#options.send(datagrams);
    workload.told = told;
  }

  #settle(workload: Workload, target: Target, answer: Answer, ms: number): void {
    const { computed, name, mac } = target;
    if ('error' in answer) {
      workload.failures += 1;
      const waitMs = Math.min(FIRST_RETRY_MS * 2 ** (workload.failures - 1), MAX_RETRY_MS);
      workload.retryAt = Date.now() + waitMs;
      workload.told = {};
      workload.isDue = true;
      workload.error = answer.error;
      this.#options.log.warn({ workload: name, mac, error: answer.error, retryMs: waitMs }, 'policy not in force');
    } else {
      workload.failures = 0;
      delete workload.error;
      if (computed) workload.inForce = computed;
      if (answer.epoch !== undefined) this.latency.confirmed(target, performance.now());
      if (computed && answer.epoch !== undefined) this.revisions.add(mac, { epoch: answer.epoch, computed });
      const rules = computed?.policy?.policy_rules.length ?? 0;
      this.#options.log.info(
        { workload: name, mac, rules, epoch: answer.epoch, ms: Math.round(ms) },
        'policy in force',
      );
    }
    this.#options.onChange();
  }

  /** What is wanted now is to dp what it has: only names and generations may differ. */
  #takeOver(workload: Workload): void {
    const { computed, mac } = workload.target;
    if (!computed || computed === workload.inForce) return;
    workload.inForce = computed;
    const last = this.revisions.last(mac);
    if (last) this.revisions.add(mac, { ...last, computed });
    this.#options.onChange();
  }
}

/** What makes a workload another one to dp. */
const endpointOf = ({ mac, hostInterface: { name, index } }: Target): string => `${mac} ${index} ${name}`;

const isNew = ({ inForce }: Workload): boolean => inForce === undefined;

/** dp may be another one: nothing that it was told counts. */
function forget(workload: Workload): void {
  workload.told = {};
  workload.isDue = true;
  workload.retryAt = 0;
}
