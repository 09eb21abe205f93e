// Gives memory back that compiling policies took. Node keeps garbage for as long as it pleases, and dp is mostly idle.
import { getHeapStatistics } from 'node:v8';
import { trimMemory } from './kernel/libc.ts';

const MIB = 2 ** 20;
const CHECK_MS = 1000;
/** Since the last time: so much is worth the collection when nothing else is to be done, … */
const IDLE_GROWTH = 2 * MIB;
/** … and so much, or half of what is in use, while commands come in. */
const BUSY_GROWTH = 16 * MIB;

export class MemoryRelease implements Disposable {
  readonly #timer = setInterval(() => this.#check(), CHECK_MS);
  #isBusy = false;
  #used = 0;

  /** To be told of every command. */
  worked(): void {
    this.#isBusy = true;
  }

  #check(): void {
    const limit = this.#isBusy ? Math.max(BUSY_GROWTH, this.#used / 2) : IDLE_GROWTH;
    this.#isBusy = false;
    if (bytesUsed() - this.#used < limit) return;
    globalThis.gc?.({ type: 'major', flavor: 'last-resort' });
    trimMemory();
    this.#used = bytesUsed();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function bytesUsed(): number {
  const { total_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}
