// Compiles a workload's rules into the blob that bpf/include/classifier.h searches. Pure: rules in, bytes out.
import { type Words as Address, compareAddress } from '../kernel/address.ts';
import { NodePool, PortTree } from './port-tree.ts';

/** Both ends belong to the range. */
export type AddressRange = { readonly from: Address; readonly to: Address };
export type Peer = { readonly range: AddressRange } | { readonly fqdnId: number };

export type Rule = {
  /** Lower wins; no two rules of a policy share one. */
  readonly rank: number;
  /** What the kernel reports as the rule that decided. */
  readonly id: number;
  readonly direction: 'egress' | 'ingress';
  readonly local: AddressRange;
  readonly peer: Peer;
  /** IP protocol number; 0 is any, and then the ports do not count. */
  readonly proto: number;
  readonly portFrom: number;
  readonly portTo: number;
  readonly action: number;
  /** App numbers from 1 to 254; the rule matches only a flow identified as one of them. None: every flow. */
  readonly apps: readonly number[];
};

export class PolicyTooLarge extends Error {
  readonly code = 'POLICY_TOO_LARGE';
}

/** What the kernel side walks at most: 2^18 address intervals, 2^18 port segments, 16 local intervals. */
const LIMITS = { intervals: (1 << 18) - 1, segments: 1 << 18, locals: 16 } as const;
const RECORD_WORDS = 4; // everything lies on 16-byte records, so that one mask bounds an offset
const HEADER_RECORDS = 3;
const DIRECTIONS = ['egress', 'ingress'] as const;
const ZERO: Address = [0, 0, 0, 0];
/** What comes after the last address. */
const AFTER_ALL: Address = [2 ** 32, 0, 0, 0];
/** As many addresses of IPv4 as one 53-bit number each can hold beside an index: then sorting needs no comparisons of ours. */
const MAX_SORTED = 2 ** 20;

type Table = { readonly record: number; readonly count: number };
type Step<T> = { readonly start: T; readonly value: number };

/** The address after this one. */
function successor([a, b, c, d]: Address): Address {
  if (d !== 0xffffffff) return [a, b, c, d + 1];
  if (c !== 0xffffffff) return [a, b, c + 1, 0];
  if (b !== 0xffffffff) return [a, b + 1, 0, 0];
  return a === 0xffffffff ? AFTER_ALL : [a + 1, 0, 0, 0];
}

/** The spans of (app, proto, port) keys that a rule covers: app 0 for any flow, and one more for each app. */
export function keySpans(rule: Rule): { from: number; to: number }[] {
  const from = rule.proto === 0 ? 0 : rule.proto * 0x10000 + rule.portFrom;
  const to = rule.proto === 0 ? 0xffffff : rule.proto * 0x10000 + rule.portTo;
  return [0, ...rule.apps].map((app) => ({ from: app * 0x1000000 + from, to: app * 0x1000000 + to }));
}

type Item = { readonly range: AddressRange; add(): void; remove(): void };

/** Calls `at` for every change of the set of active items, in ascending order of address, first at ::. */
function sweep(items: readonly Item[], at: (start: Address) => void): void {
  const starts = items.flatMap(({ range: { from, to } }) => [from, successor(to)]);
  let start = ZERO;
  for (const event of inOrder(starts)) {
    const address = starts[event] as Address;
    if (compareAddress(start, address) !== 0) at(start);
    start = address;
    const item = items[event >> 1] as Item;
    if (event & 1) item.remove();
    else item.add();
  }
  if (start !== AFTER_ALL) at(start);
}

/** The indexes of addresses in ascending order. */
function inOrder(starts: readonly Address[]): Float64Array | Uint32Array {
  const keys = new Float64Array(starts.length);
  for (let i = 0; i < keys.length; i++) {
    const [a, b, c, d] = starts[i] as Address;
    if (a !== 0 || b !== 0 || (c !== 0xffff && (c !== 0x10000 || d !== 0)) || i >= MAX_SORTED)
      return inOrderOfAny(starts);
    keys[i] = ((c - 0xffff) * 2 ** 32 + d) * MAX_SORTED + i;
  }
  keys.sort();
  for (let n = 0; n < keys.length; n++) keys[n] = (keys[n] as number) % MAX_SORTED;
  return keys;
}

const inOrderOfAny = (starts: readonly Address[]): Uint32Array =>
  Uint32Array.from(starts.keys()).sort((a, b) => compareAddress(starts[a] as Address, starts[b] as Address));

/** Calls `put` for every step with its place in a breadth-first walk of a balanced tree: child nodes of k are 2k and 2k+1. */
function breadthFirst<T>(steps: readonly T[], put: (k: number, step: T) => void): void {
  let next = 0;
  const visit = (k: number): void => {
    if (k > steps.length) return;
    visit(2 * k);
    put(k, steps[next++] as T);
    visit(2 * k + 1);
  };
  visit(1);
}

class Writer {
  readonly pool: NodePool;
  constructor(pool: NodePool) {
    this.pool = pool;
  }

  addresses(steps: readonly Step<Address>[]): Table {
    if (steps.length > LIMITS.intervals)
      throw new PolicyTooLarge(`${steps.length} address intervals, at most ${LIMITS.intervals} fit`);
    const count = steps.length;
    const record = this.pool.reserve(count + 1 + Math.ceil((count + 1) / RECORD_WORDS));
    const words = this.pool.words;
    breadthFirst(steps, (k, { start, value }) => {
      // Two little-endian 64-bit halves in host order.
      const at = (record + k) * RECORD_WORDS;
      words[at] = start[1];
      words[at + 1] = start[0];
      words[at + 2] = start[3];
      words[at + 3] = start[2];
      words[(record + count + 1) * RECORD_WORDS + k] = value;
    });
    return { record, count };
  }

  numbers(steps: readonly Step<number>[]): Table {
    const count = steps.length;
    const record = this.pool.reserve(Math.ceil((count + 1) / 2));
    const words = this.pool.words;
    breadthFirst(steps, (k, { start, value }) => {
      words[record * RECORD_WORDS + 2 * k] = start;
      words[record * RECORD_WORDS + 2 * k + 1] = value;
    });
    return { record, count };
  }

  tables(...tables: Table[]): number {
    const record = this.pool.reserve(Math.ceil(tables.length / 2));
    this.pool.words.set(
      tables.flatMap(({ record: r, count }) => [r, count]),
      record * RECORD_WORDS,
    );
    return record;
  }
}

/** The steps without those that change nothing. */
function merged<T>(steps: readonly Step<T>[]): Step<T>[] {
  return steps.filter(({ value }, i) => i === 0 || value !== steps[i - 1]?.value);
}

/** Compiles one policy; throws PolicyTooLarge where it exceeds what the kernel side walks. */
export function compileClassifier(rules: readonly Rule[]): Uint8Array {
  const ranked = rules.toSorted((a, b) => a.rank - b.rank);
  const spans = ranked.map(keySpans);
  const bounds = new Set([0]);
  for (const list of spans) for (const { from, to } of list) bounds.add(from).add(to + 1);
  const starts = Float64Array.from(bounds).sort();
  if (starts.length > LIMITS.segments)
    throw new PolicyTooLarge(`${starts.length} port segments, at most ${LIMITS.segments} fit`);

  const pool = new NodePool(HEADER_RECORDS);
  const writer = new Writer(pool);
  const segmentOf = new Map(Array.from(starts, (start, segment) => [start, segment]));
  const bySegment = spans.map((list) =>
    list.map(({ from, to }) => [segmentOf.get(from) ?? 0, segmentOf.get(to + 1) ?? 0] as const),
  );
  const depth = Math.ceil(Math.log2(starts.length));
  const ranks = Array.from(ranked.keys());
  const newTree = () =>
    new PortTree(
      depth,
      pool,
      bySegment,
      ranked.map(({ apps }) => apps.length > 0),
    );

  const scope = (members: readonly number[]): number => {
    const peers: Step<Address>[] = [];
    const fqdns = new Map<number, number[]>();
    const tree = newTree();
    const items = members.flatMap((rank) => {
      const { peer } = ranked[rank] as Rule;
      if ('range' in peer) return [{ range: peer.range, add: () => tree.add(rank), remove: () => tree.remove(rank) }];
      const list = fqdns.get(peer.fqdnId);
      if (list) list.push(rank);
      else fqdns.set(peer.fqdnId, [rank]);
      return [];
    });
    sweep(items, (start) => peers.push({ start, value: tree.snapshot() }));
    const names = [...fqdns]
      .sort(([a], [b]) => a - b)
      .map(([start, list]) => {
        const own = newTree();
        for (const rank of list) own.add(rank);
        return { start, value: own.snapshot() };
      });
    return writer.tables(writer.addresses(merged(peers)), writer.numbers(names));
  };

  const locals = DIRECTIONS.map((direction) => {
    const active = new Set<number>();
    const scopes = new Map<string, number>();
    const steps: Step<Address>[] = [];
    const items = ranks
      .filter((rank) => ranked[rank]?.direction === direction)
      .map((rank) => ({
        range: (ranked[rank] as Rule).local,
        add: () => active.add(rank),
        remove: () => active.delete(rank),
      }));
    sweep(items, (start) => {
      const members = [...active].sort((a, b) => a - b);
      const same = members.join();
      const value = scopes.get(same) ?? scope(members);
      scopes.set(same, value);
      if (scopes.size > LIMITS.locals)
        throw new PolicyTooLarge(`more than ${LIMITS.locals} kinds of local address, ${direction}`);
      steps.push({ start, value });
    });
    return writer.addresses(merged(steps));
  });

  const ports = writer.numbers(Array.from(starts, (start, value) => ({ start, value })));
  const rulesRecord = pool.reserve(Math.ceil(ranked.length / 2));
  for (const [rank, { id, action }] of ranked.entries()) {
    pool.words[rulesRecord * RECORD_WORDS + 2 * rank] = id;
    pool.words[rulesRecord * RECORD_WORDS + 2 * rank + 1] = action;
  }
  pool.words.set([
    1,
    depth,
    ports.record,
    ports.count,
    ...locals.flatMap(({ record, count }) => [record, count]),
    rulesRecord,
  ]);
  return pool.bytes();
}
