// Compiles a workload's rules into the blob that bpf/include/classifier.h searches. Pure: rules in, bytes out.
import type { Words as Address } from '../kernel/address.ts';
import { LimitExceeded, requireRoom } from '../limits.ts';
import { type AddressRange, sweep } from './address-ranges.ts';
import { type AddressSteps, layOut, type NumberSteps, RECORD_WORDS } from './blob.ts';
import { NodePool, RECORDS_OF_POLICY } from './port-nodes.ts';
import { coverageOf, NUMBER_BITS, type PortSegments, segmentsOf, treeDepth } from './port-segments.ts';
import { PortTree } from './port-tree.ts';
import { StepList } from './step-list.ts';

export type Peer = { readonly range: AddressRange } | { readonly fqdnId: number };
export type Direction = 'egress' | 'ingress';

export type Rule = {
  /** What the kernel reports as the rule that decided. */
  readonly id: number;
  readonly direction: Direction;
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

/** What the same rules say of some of the workload's addresses. */
export type Scope = {
  readonly direction: Direction;
  /** An address of each of its ranges of local addresses: a rule has all of a scope or nothing. */
  readonly locals: readonly Address[];
  /** Addresses → record of a port tree. */
  readonly peers: AddressSteps;
  /** FQDN ids → record of a port tree. */
  readonly names: NumberSteps;
};

export type Classifier = {
  /** The first that matches decides; a rule's rank is its index. */
  readonly rules: readonly Rule[];
  readonly segments: PortSegments;
  readonly scopes: readonly Scope[];
  /** Local addresses → index of `scopes`, by direction. */
  readonly locals: readonly AddressSteps[];
  /** Records of the port trees' nodes, from the blob's start. */
  readonly nodes: Uint32Array;
  readonly blob: Uint8Array;
  /** Bytes that the blob has, or had before amendments. */
  readonly compiledBytes: number;
};

/**
 * Of a policy: what the kernel side walks at most, 2^18 - 1 address intervals and 16 kinds of local address in a direction;
 * and records of 16 bytes, so that it takes no more than 64 MiB of the kernel's memory, and some seconds.
 */
export const LIMITS = { intervals: (1 << 18) - 1, locals: 16, records: 1 << 22 } as const;
const FEWER_LOCALS = 'let rules name no local address, or the same ones';
/** As many as rules that overlap need; groups of addresses need a quarter. What is not used is not touched either. */
const NODES_PER_RULE = 32;
export const DIRECTIONS = ['egress', 'ingress'] as const;

/** Throws LimitExceeded where the rules exceed LIMITS. `pool` takes the nodes: an empty one. */
export function compileClassifier(
  rules: readonly Rule[],
  pool: NodePool = new NodePool(rules.length * NODES_PER_RULE, LIMITS.records),
): Classifier {
  const segments = segmentsOf(rules);
  const coverage = rules.map((rule) => coverageOf(segments, rule));
  const depth = treeDepth(segments.starts.length);
  const newTree = () => new PortTree(depth, pool, coverage);
  const scopes: Scope[] = [];
  const locals = DIRECTIONS.map((direction) => compileDirection(rules, direction, scopes, newTree));
  const classifier = finish({ rules, segments, scopes, locals, nodes: pool.list.all() });
  requireRoom(RECORDS_OF_POLICY.what, recordsOf(classifier), pool.most, RECORDS_OF_POLICY.advice);
  return classifier;
}

export const recordsOf = ({ blob }: Classifier): number => blob.length / (RECORD_WORDS * Uint32Array.BYTES_PER_ELEMENT);

/** `compiledBytes` undefined: as many as there are now. */
export function finish(
  parts: Omit<Classifier, 'blob' | 'compiledBytes'> & { readonly compiledBytes?: number },
): Classifier {
  const { rules, segments, scopes, locals, nodes } = parts;
  for (const { peers } of scopes)
    requireRoom('ranges of peers’ addresses in a policy', peers.starts.length, LIMITS.intervals);
  const ports = { starts: segments.starts, values: segments.numbers };
  const blob = layOut({ nodes, ports, scopes, locals, rules }, NUMBER_BITS);
  const kept = new Uint32Array(blob.buffer, 0, nodes.length);
  return { compiledBytes: blob.length, ...parts, nodes: kept, blob };
}

/** Counted on without compiling what there are too many of: by two random numbers that stand for the rules that hold. */
function tooManyKinds(locals: readonly AddressRange[], direction: Direction): LimitExceeded {
  const tags = locals.map(() => [randomWord(), randomWord()] as const);
  let [high, low] = [0, 0];
  const toggle = (i: number): void => {
    const [a, b] = tags[i] as (typeof tags)[number];
    [high, low] = [high ^ a, low ^ b];
  };
  const kinds = new Set<string>();
  sweep(locals, { add: toggle, remove: toggle }, () => kinds.add(`${high} ${low}`));
  return new LimitExceeded(`kinds of local address, ${direction}`, kinds.size, LIMITS.locals, FEWER_LOCALS);
}

const randomWord = (): number => (Math.random() * 2 ** 32) | 0;

/** Adds to `scopes`. */
function compileDirection(
  rules: readonly Rule[],
  direction: Direction,
  scopes: Scope[],
  newTree: () => PortTree,
): AddressSteps {
  const ranks = [...rules.keys()].filter((rank) => rules[rank]?.direction === direction);
  const isActive = new Uint8Array(ranks.length);
  const active = { add: (i: number) => isActive.fill(1, i, i + 1), remove: (i: number) => isActive.fill(0, i, i + 1) };
  const first = scopes.length;
  const kinds = new Map<string, { index: number; locals: Address[] }>();
  const steps = new StepList();
  const locals = ranks.map((rank) => (rules[rank] as Rule).local);
  sweep(locals, active, (start) => {
    const members = ranks.filter((_, i) => isActive[i]);
    const same = members.join();
    const known = kinds.get(same) ?? { index: first + kinds.size, locals: [] };
    if (known.locals.push(start) === 1) {
      kinds.set(same, known);
      if (kinds.size > LIMITS.locals) throw tooManyKinds(locals, direction);
      scopes.push({ direction, locals: known.locals, ...compileScope(rules, members, newTree()) });
    }
    steps.push(start, known.index);
  });
  return steps;
}

function compileScope(
  rules: readonly Rule[],
  members: readonly number[],
  tree: PortTree,
): Pick<Scope, 'peers' | 'names'> {
  const ranks: number[] = [];
  const ranges: AddressRange[] = [];
  const named = new Map<number, number[]>();
  for (const rank of members) {
    const { peer } = rules[rank] as Rule;
    if ('range' in peer) {
      ranks.push(rank);
      ranges.push(peer.range);
    } else {
      const others = named.get(peer.fqdnId);
      if (others) others.push(rank);
      else named.set(peer.fqdnId, [rank]);
    }
  }
  const active = {
    add: (i: number) => tree.add(ranks[i] as number),
    remove: (i: number) => tree.remove(ranks[i] as number),
  };
  const peers = new StepList();
  sweep(ranges, active, (start) => peers.push(start, tree.snapshot()));
  for (const rank of ranks) tree.remove(rank); // a range up to the last address has not ended
  const starts = [...named.keys()].sort((a, b) => a - b);
  const values = starts.map((id) => {
    const list = named.get(id) ?? [];
    for (const rank of list) tree.add(rank);
    const root = tree.snapshot();
    for (const rank of list) tree.remove(rank);
    return root;
  });
  return { peers, names: { starts, values } };
}
