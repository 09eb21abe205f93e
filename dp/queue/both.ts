// For tests: a workload of which each packet goes to the kernel programs and to a queue's policing; they must say the same.
import assert from 'node:assert/strict';
import { type Harness, type Verdict, Workload } from '../bpf/harness.ts';
import { ACTIONS, counter as COUNTER, direction as DIRECTION, type Endpoint, REASONS } from '../kernel/abi.gen.ts';
import type { Direction } from './flows.ts';
import { type Cause, QueuePolicing, type Surroundings } from './policing.ts';

const ETHERNET_BYTES = 14;

export class Both extends Workload {
  readonly #policing: QueuePolicing;
  readonly #hits = new Map<string, bigint>();
  readonly #drops = new Map<number, bigint>();
  readonly #causes: Cause[] = [];
  /** Of the kernel programs, which count for all workloads. */
  readonly #countersBefore: readonly number[];
  packets = 0;

  /** A workload that no test has had yet. */
  static of(harness: Harness): Both {
    const { id, mac } = harness.workload();
    return new Both(harness, id, mac);
  }

  private constructor(harness: Harness, id: number, mac: string) {
    super(harness, id, mac);
    this.#policing = new QueuePolicing(this.#surroundings());
    this.#countersBefore = this.#counters();
  }

  #surroundings(): Surroundings {
    const { datapath, engine } = this.harness;
    return {
      now: () => 7, // whether a report is due is not what is compared
      namesOf: (address) => engine.names.namesOf(address),
      toldApplication: (endpoint, port, protocol) => datapath.listeners.get({ endpoint, port, protocol }) ?? 0,
      identify: (...payload) => datapath.identify(...payload),
      countHit: ({ revision }: Endpoint, ruleId) => add(this.#hits, `${revision}/${ruleId}`),
      countDrop: (_, reason) => {
        add(this.#drops, reason);
        return 1;
      },
      report: (_queued, _packet, _workload, cause) => this.#causes.push(cause),
    };
  }

  override send(frame: Uint8Array): Verdict {
    return this.#compare(frame, super.send(frame), DIRECTION.egress);
  }

  override receive(frame: Uint8Array): Verdict {
    return this.#compare(frame, super.receive(frame), DIRECTION.ingress);
  }

  #compare(frame: Uint8Array, kernel: Verdict, direction: Direction): Verdict {
    const bytes = Buffer.from(frame.subarray(ETHERNET_BYTES));
    const [workload = assert.fail()] = this.harness.engine.workloads.withMac(this.mac);
    const passes = this.#policing.decide({ bytes, length: bytes.length, direction }, workload);
    assert.equal(passes ? 'pass' : 'drop', kernel, `packet ${this.packets}: ${Buffer.from(frame).toString('hex')}`);
    this.packets += 1;
    return kernel;
  }

  /** Verdicts by action and then drops by reason, as metrics have them. */
  #counters(): number[] {
    const indexes = Array.from({ length: ACTIONS + REASONS }, (_, i) => COUNTER.verdicts + i);
    return indexes.map((index) => Number(this.harness.datapath.counter(index)));
  }

  /** That both have counted the same hits, drops and verdicts, and reported the same kinds of threats. No other workload may have had packets. */
  assertSameCounts(): void {
    const hits = this.harness.datapath.hits.entries().filter(([{ endpoint }]) => endpoint === this.id);
    const ofKernel = hits.map(([{ revision, ruleId }, { hits: n }]): [string, bigint] => [`${revision}/${ruleId}`, n]);
    assert.deepEqual(sorted(this.#hits), sorted(new Map(ofKernel)));
    for (const [reason, packets] of this.#drops)
      assert.equal(this.drops(reason), packets, `drops for reason ${reason}`);
    const { verdicts, drops } = this.#policing;
    const counted = [
      ...Array.from({ length: ACTIONS }, (_, action) => verdicts.get(action) ?? 0),
      ...Array.from({ length: REASONS }, (_, reason) => drops.get(reason) ?? 0),
    ];
    const ofPrograms = this.#counters().map((count, i) => count - (this.#countersBefore[i] ?? 0));
    assert.deepEqual(counted, ofPrograms, 'verdicts and drops of metrics');
    assert.deepEqual(new Set(this.#causes.map(kindOf)), new Set(this.events().map(kindOf)));
  }
}

function add<K>(counters: Map<K, bigint>, name: K): void {
  counters.set(name, (counters.get(name) ?? 0n) + 1n);
}

const sorted = (counters: ReadonlyMap<string, bigint>) => [...counters].sort(([a], [b]) => (a < b ? -1 : 1));

type Reported = Pick<Cause, 'reason' | 'action' | 'ruleId' | 'flowDirection' | 'application'> & {
  readonly passed: boolean | number;
};
const kindOf = ({
  reason,
  action,
  ruleId,
  flowDirection,
  application,
  passed,
}: { readonly [Field in keyof Reported]: number | boolean }): string =>
  [reason, action, ruleId, flowDirection, application, Number(passed)].join('/');
