// Keeps the addresses of names: looks each up again every 30 s, or when its records end.
import type { Logger } from 'pino';
import { lookUp, type Resolver, TIMEOUT_MS } from './lookup.ts';
import type { Answer } from './message.ts';

/** In ms; `settle`: a policy does not wait longer for its names. */
export type Timing = {
  readonly refresh: number;
  readonly minRefresh: number;
  readonly settle: number;
  readonly lookup: number;
};
export const TIMING: Timing = { refresh: 30_000, minRefresh: 5000, settle: 2000, lookup: TIMEOUT_MS };

export type NameResolverOptions = {
  readonly resolver: Resolver;
  readonly log: Logger;
  readonly timing?: Timing;
  /** All addresses of a name, each time that they change. */
  readonly onAddresses: (name: string, addresses: readonly string[]) => void;
  /** A name was looked up for the first time, or took too long. */
  readonly onSettled: () => void;
  /** Why a name's addresses may be old, in words; undefined where they are not. */
  readonly onProblem: (name: string, problem: string | undefined) => void;
};

type Addresses = { readonly A: readonly string[]; readonly AAAA: readonly string[] };
type Known = { addresses?: Addresses; isSettled: boolean; settle?: NodeJS.Timeout; refresh?: NodeJS.Timeout };

const isPattern = (name: string): boolean => name.startsWith('*.');

export class NameResolver implements Disposable {
  readonly #options: NameResolverOptions;
  readonly #timing: Timing;
  readonly #names = new Map<string, Known>();

  constructor(options: NameResolverOptions) {
    this.#options = options;
    this.#timing = options.timing ?? TIMING;
  }

  /** The names that are used now; others are forgotten. */
  setNames(names: ReadonlySet<string>): void {
    for (const [name, known] of this.#names) if (!names.has(name)) this.#forget(name, known);
    for (const name of names) if (!this.#names.has(name)) this.#add(name);
  }

  /** It was looked up, whatever came of it; or there is nothing to look up. */
  isSettled(name: string): boolean {
    return this.#names.get(name)?.isSettled ?? false;
  }

  [Symbol.dispose](): void {
    for (const [name, known] of this.#names) this.#forget(name, known);
  }

  #add(name: string): void {
    const known: Known = { isSettled: isPattern(name) };
    this.#names.set(name, known);
    if (isPattern(name)) return; // dp learns its addresses from the answers that workloads get
    known.settle = setTimeout(() => this.#settle(known), this.#timing.settle);
    void this.#refresh(name, known);
  }

  #forget(name: string, known: Known): void {
    clearTimeout(known.settle);
    clearTimeout(known.refresh);
    this.#names.delete(name);
    this.#options.onProblem(name, undefined);
  }

  #settle(known: Known): void {
    clearTimeout(known.settle);
    if (known.isSettled) return;
    known.isSettled = true;
    this.#options.onSettled();
  }

  async #refresh(name: string, known: Known): Promise<void> {
    const { resolver } = this.#options;
    const look = (type: 'A' | 'AAAA'): Promise<Answer> => lookUp(resolver, name, type, this.#timing.lookup);
    const [a, aaaa] = await Promise.all([look('A'), look('AAAA')]);
    if (this.#names.get(name) !== known) return; // no longer used, or used anew
    this.#take(name, known, a, aaaa);
    this.#settle(known);
    known.refresh = setTimeout(() => void this.#refresh(name, known), nextRefreshMs([a, aaaa], this.#timing));
  }

  /** What could not be looked up stays as it was. */
  #take(name: string, known: Known, a: Answer, aaaa: Answer): void {
    const { log, onAddresses, onProblem } = this.#options;
    const before = known.addresses;
    // Some servers fail for the one family that a name has no addresses of.
    const isFound = [a, aaaa].some((answer) => answer.kind === 'addresses' && answer.addresses.length > 0);
    const failure = isFound ? undefined : [a, aaaa].find((answer) => answer.kind === 'failed');
    const last = before ? 'its last addresses stay' : 'it has no addresses yet';
    if (failure) log.warn({ fqdn: name, reason: failure.reason }, `fqdn not looked up, ${last}`);
    onProblem(name, failure && `${name} was not looked up (${failure.reason}): ${last}`);
    if (a.kind !== 'addresses' && aaaa.kind !== 'addresses') return;
    const now = { A: addressesOf(a) ?? before?.A ?? [], AAAA: addressesOf(aaaa) ?? before?.AAAA ?? [] };
    known.addresses = now;
    const addresses = [...now.A, ...now.AAAA];
    if (before && addresses.join() === [...before.A, ...before.AAAA].join()) return;
    log.info({ fqdn: name, addresses }, 'fqdn changed');
    onAddresses(name, addresses);
  }
}

const addressesOf = (answer: Answer): readonly string[] | undefined =>
  answer.kind === 'addresses' ? answer.addresses : undefined;

/** By the records that end first. After a failure soon, since the addresses may be old. */
function nextRefreshMs(answers: readonly Answer[], { refresh, minRefresh }: Timing): number {
  const waits = answers.map((answer) => {
    if (answer.kind !== 'addresses') return minRefresh;
    return answer.ttlSeconds === undefined ? refresh : answer.ttlSeconds * 1000;
  });
  return Math.max(minRefresh, Math.min(refresh, ...waits));
}
