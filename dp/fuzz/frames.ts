// Puts frames of any kind to the programs of a workload whose policy allows nothing.
import fc from 'fast-check';
import type { Harness, Verdict, Workload } from '../bpf/harness.ts';
import { random } from '../bpf/rule-sets.ts';
import { macText } from '../kernel/address.ts';
import { isKernelError } from '../kernel/libbpf.ts';
import { resolvesAddresses } from './address-resolution.ts';
import { anyFrame, type Frame } from './any-frame.ts';

/** Of one seed. */
export const FRAMES_PER_SEED = 2000;
const MACS_BYTES = 12;
const MAC_BYTES = 6;
const SHRINK_MS = 30_000;

export type Oracle = typeof resolvesAddresses;

export class Frames {
  readonly #workload: Workload;
  readonly #oracle: Oracle;
  judged = 0;
  passed = 0;
  /** By the kernel's own test run, as it does an IP header that is not whole. */
  refused = 0;

  /** `oracle`: which frames must pass; another than the right one, to see what becomes of it. */
  constructor(harness: Harness, oracle: Oracle = resolvesAddresses) {
    this.#workload = harness.workload({});
    this.#oracle = oracle;
  }

  /** In words, and with the least of the frame, the first that passes and must not, or the other way round. */
  run(seed: number): string | undefined {
    const r = random(seed);
    for (let i = 0; i < FRAMES_PER_SEED; i++) {
      const frame = anyFrame(this.#workload, r);
      const verdict = this.#judge(frame);
      if (verdict === undefined) this.refused += 1;
      else this.judged += 1;
      if (verdict === 'pass') this.passed += 1;
      if (this.#isWrong(frame, verdict)) return this.#describe(frame, verdict);
    }
    return undefined;
  }

  #isWrong(frame: Frame, verdict: Verdict | undefined): boolean {
    return verdict !== undefined && (verdict === 'pass') !== this.#mustPass(frame);
  }

  /** What a workload sends under another MAC than its own is spoofed, whatever it is. */
  #mustPass({ goes, bytes }: Frame): boolean {
    const source = macText(bytes.subarray(MAC_BYTES, MACS_BYTES));
    return (goes === 'in' || source === this.#workload.mac) && this.#oracle(bytes);
  }

  #judge({ goes, bytes }: Frame): Verdict | undefined {
    try {
      return goes === 'out' ? this.#workload.send(bytes) : this.#workload.receive(bytes);
    } catch (error) {
      if (isKernelError(error, 'EINVAL')) return undefined;
      throw error;
    }
  }

  #describe(frame: Frame, verdict: Verdict | undefined): string {
    const least = leastFrame(frame, (candidate) => this.#isWrong(candidate, this.#judge(candidate)));
    const where = frame.goes === 'out' ? 'sent by the workload' : 'coming to the workload';
    const wrong =
      verdict === 'pass' ? 'passed, under a policy that allows nothing' : 'was dropped, though it resolves addresses';
    const again = least ? '' : '\n  (once: put again by itself, it is judged rightly)';
    return `  a frame ${where} ${wrong}:\n  ${Buffer.from((least ?? frame).bytes).toString('hex')}${again}`;
  }
}

/** As short as can be, and with as many zeros; undefined where it is not wrong again. */
function leastFrame({ goes, bytes }: Frame, isWrong: (frame: Frame) => boolean): Frame | undefined {
  const anyByte = Array.from(bytes.subarray(MACS_BYTES), (byte) => fc.constantFrom(0, byte));
  const frameOf = ([length, rest]: readonly [number, readonly number[]]): Frame => ({
    goes,
    bytes: Uint8Array.of(...bytes.subarray(0, MACS_BYTES), ...rest).subarray(0, length),
  });
  const { counterexample }: fc.RunDetails<[[number, number[]]]> = fc.check(
    fc.property(
      fc.tuple(fc.integer({ min: MACS_BYTES + 2, max: bytes.length }), fc.tuple(...anyByte)),
      (value) => !isWrong(frameOf(value)),
    ),
    { numRuns: 1, examples: [[[bytes.length, [...bytes.subarray(MACS_BYTES)]]]], interruptAfterTimeLimit: SHRINK_MS },
  );
  return counterexample ? frameOf(counterexample[0]) : undefined;
}
