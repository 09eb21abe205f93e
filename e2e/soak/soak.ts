// The soak itself: traffic on many workloads while policies change and dp is killed again and again.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { poll, waitFor } from '../lab/wait.ts';
import { Beat } from './beat.ts';
import { type Check, holds, judge, type Seen } from './checks.ts';
import { readDump } from './dump.ts';
import { type Scene, setScene } from './scene.ts';
import { networkCounters } from './sockets.ts';

export type SoakOptions = {
  readonly workloads: number;
  readonly seconds: number;
  /** Spread over the run. */
  readonly kills: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Hears of the progress. */
  readonly say: (what: string) => void;
  /** Called each time between the kill of dp and its next start, with where dp's pins lie. */
  readonly whileAway?: (pins: string) => void;
  /** For what is still on its way at the end: reports of connections come every 6 s. */
  readonly settleMs?: number;
};

/** 20 a second. */
const CHANGE_MS = 50;
const MEMORY_MS = 250;
const PROGRESS_MS = 10_000;
const MOST_AWAY_MS = 1000;
const READY_MS = 60_000;
const SETTLE_MS = 40_000;
const KIB_PER_MIB = 1024;
/** Checks that can be told from before the end: what is missing may still be on its way. */
const IS_LIVE = /passed|went back|refused|broken/;

/** Needs root. Throws LabError where it can't be carried out; what it has seen is in the checks. */
export async function runSoak(options: SoakOptions): Promise<readonly Check[]> {
  await using stack = new AsyncDisposableStack();
  options.say(`making ${options.workloads} workloads`);
  const scene = await setScene(stack, options);
  const course = new Course(scene, options);
  await course.run();
  return await course.settle();
}

class Course {
  readonly #scene: Scene;
  readonly #options: SoakOptions;
  #kills = 0;
  #changes = 0;
  #dpKib = 0;

  constructor(scene: Scene, options: SoakOptions) {
    this.#scene = scene;
    this.#options = options;
  }

  /** Until the time is over and dp is back from its last kill. */
  async run(): Promise<void> {
    using stack = new DisposableStack();
    const { traffic, agent } = this.#scene;
    const beat = new Beat(traffic, (workload) => agent.probeOf(workload).expectation);
    every(stack, Beat.everyMs, () => beat.catchUp(performance.now()));
    every(stack, CHANGE_MS, () => this.#change());
    every(stack, MEMORY_MS, () => void this.#sampleMemory());
    const started = performance.now();
    every(stack, PROGRESS_MS, () => this.#tellProgress((performance.now() - started) / 1000));
    await this.#killAgainAndAgain(started);
  }

  #change(): void {
    this.#changes += 1;
    this.#scene.agent.change();
  }

  async #sampleMemory(): Promise<void> {
    const { pid } = this.#scene.dp;
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''); // killed meanwhile
    this.#dpKib = Math.max(this.#dpKib, Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0));
  }

  #tellProgress(seconds: number): void {
    const failing = judge(this.#seen(undefined)).filter(({ name, holds }) => holds === false && IS_LIVE.test(name));
    const verdict =
      failing.length === 0
        ? 'nothing lost, nothing passed'
        : failing.map(({ name, seen }) => `${name}: ${seen}`).join('; ');
    this.#options.say(
      `${Math.round(seconds)} of ${this.#options.seconds} s, ${this.#changes} changes, ${this.#kills} of ${this.#options.kills} kills, ${verdict}`,
    );
  }

  async #killAgainAndAgain(started: number): Promise<void> {
    const { kills, seconds, signal } = this.#options;
    const until = (atSeconds: number) =>
      sleep(Math.max(0, started + atSeconds * 1000 - performance.now()), undefined, { signal }).catch(() =>
        signal.throwIfAborted(),
      );
    for (let kill = 0; kill < kills; kill++) {
      await until(((kill + 0.5) * seconds) / kills);
      await this.#kill();
    }
    await until(seconds);
  }

  async #kill(): Promise<void> {
    const { lab, dp, agent, random } = this.#scene;
    const before = agent.syncs;
    await dp.stop('SIGKILL');
    this.#options.whileAway?.(lab.pins);
    await sleep(random.below(MOST_AWAY_MS));
    await dp.start();
    const isBack = async () => (agent.syncs > before && agent.realized === this.#scene.endpoints.length) || undefined;
    await waitFor('dp to confirm every policy again', isBack, { timeoutMs: READY_MS, signal: lab.signal });
    this.#kills += 1;
  }

  /** Waits for what is on its way, and judges. */
  async settle(): Promise<readonly Check[]> {
    const { settleMs = SETTLE_MS, signal, say } = this.#options;
    say('waiting for the last reports');
    const judged = async () => judge(this.#seen(await this.#dump()));
    const settled = async () => {
      const checks = await judged();
      return holds(checks) ? checks : undefined;
    };
    return (await poll(settled, { timeoutMs: settleMs, everyMs: 1000, signal })) ?? (await judged());
  }

  async #dump(): Promise<ReturnType<typeof readDump>> {
    const { dp, lab } = this.#scene;
    const before = (await dp.log()).length;
    dp.signal('SIGUSR1');
    const said = async () => readDump((await dp.log()).slice(before));
    return waitFor('dp to print what it holds', said, { timeoutMs: READY_MS, signal: lab.signal });
  }

  #seen(dump: ReturnType<typeof readDump>): Seen {
    const { agent, traffic, reports, endpoints, lab, places } = this.#scene;
    const counters = [lab.node.path, ...places.map(({ namespace }) => namespace)].map(networkCounters);
    const counted = (name: string) => counters.reduce((sum, one) => sum + (one.get(name) ?? 0), 0);
    return {
      books: (flow) => traffic.booksOf(flow),
      macs: endpoints.map(({ mac }) => mac),
      reports,
      turns: endpoints.reduce((turns, _, i) => turns + agent.probeOf(i).turns, 0),
      broken: traffic.failures,
      drops: dump?.drops,
      tableLosses: dump?.tableLosses,
      kills: { done: this.#kills, wanted: this.#options.kills },
      syncs: agent.syncs,
      changes: this.#changes,
      dpMib: this.#dpKib / KIB_PER_MIB,
      socketOverflows: counted('Udp RcvbufErrors'),
      retransmissions: counted('Tcp RetransSegs'),
      reportsMissed: agent.reportsLost,
    };
  }
}

function every(stack: DisposableStack, ms: number, run: () => void): void {
  stack.adopt(setInterval(run, ms), clearInterval);
}
