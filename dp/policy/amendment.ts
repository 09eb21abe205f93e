// Compiles a policy from one that differs in a few rules, by what these change. Pure.
import { compareAddress } from '../kernel/address.ts';
import { type AddressRange, AFTER_ALL, intersection, isSameRange, isWithin, successor } from './address-ranges.ts';
import { type AddressSteps, HEADER_RECORDS, RECORD_WORDS } from './blob.ts';
import {
  type Classifier,
  DIRECTIONS,
  finish,
  LIMITS,
  type Peer,
  type Rule,
  recordsOf,
  type Scope,
} from './classifier.ts';
import { EMPTY, NONE, NodeList } from './port-nodes.ts';
import { coverageOf, cutFor, mayShareKeys, type PortSegments } from './port-segments.ts';
import { ruleDifference } from './rule-difference.ts';
import { changeSteps, lowestRanks } from './step-edit.ts';
import { TreeEdit } from './tree-edit.ts';

/** A policy with more changes is compiled anew. */
const MAX_CHANGES = 64;
/** What is no longer used stays in the blob, until that has grown so much. */
const MAX_GROWTH = 2;
const SLACK_BYTES = 1 << 16;

/**
 * The same as compileClassifier of these rules to whoever searches it; undefined where it has to be compiled anew. Rules
 * that both policies have are the same objects, in the same order.
 */
export function amendClassifier(before: Classifier, rules: readonly Rule[]): Classifier | undefined {
  const difference = ruleDifference(before.rules, rules, MAX_CHANGES);
  if (!difference) return undefined;
  const changed = [...difference.removed, ...difference.added];
  if (!changed.every((rule) => hasWholeScopes(rule, before))) return undefined;
  let segments: PortSegments | undefined = before.segments;
  for (const rule of difference.added) segments = segments && cutFor(segments, rule);
  if (!segments) return undefined;

  const amendment = new Amendment(rules, segments, reranked(before.nodes, difference.ranks));
  const scopes = before.scopes.map((scope) => amendment.scope(scope, changed));
  if (scopes.some(({ peers }) => peers.starts.length > LIMITS.intervals)) return undefined;
  const { locals, compiledBytes } = before;
  const after = finish({ rules, segments, scopes, locals, nodes: amendment.nodes.all(), compiledBytes });
  const isTooLarge = after.blob.length > compiledBytes * MAX_GROWTH + SLACK_BYTES || recordsOf(after) > LIMITS.records;
  return isTooLarge ? undefined : after;
}

/** Whether a rule's local addresses are made of scopes, none of them in part. */
function hasWholeScopes({ direction, local }: Rule, { locals, scopes }: Classifier): boolean {
  const { starts } = locals[DIRECTIONS.indexOf(direction)] as AddressSteps;
  const end = successor(local.to);
  const isEdge = (edge: typeof end): boolean => starts.some((start) => compareAddress(start, edge) === 0);
  if (!isEdge(local.from) || !(end === AFTER_ALL || isEdge(end))) return false;
  return scopes
    .filter((scope) => scope.direction === direction)
    .every((scope) => new Set(scope.locals.map((address) => isWithin(address, local))).size === 1);
}

const isOfScope = ({ direction, local }: Rule, scope: Scope): boolean =>
  direction === scope.direction && scope.locals.slice(0, 1).every((address) => isWithin(address, local));

/** The nodes with the ranks that their rules have now. Where a removed one was, something else will be said. */
function reranked(nodes: Uint32Array, ranks: Uint32Array): NodeList {
  const list = NodeList.from(nodes);
  if (ranks.every((rank, before) => rank === before || rank === NONE)) return list;
  const { words } = list;
  for (let at = HEADER_RECORDS * RECORD_WORDS; at < nodes.length; at += RECORD_WORDS) {
    const [base, app] = [words[at + 2] as number, words[at + 3] as number];
    if (base !== NONE) words[at + 2] = ranks[base] as number;
    if (app !== NONE) words[at + 3] = ranks[app] as number;
  }
  return list;
}

class Amendment {
  readonly nodes: NodeList;
  readonly #rules: readonly Rule[];
  readonly #segments: PortSegments;

  constructor(rules: readonly Rule[], segments: PortSegments, nodes: NodeList) {
    this.#rules = rules;
    this.#segments = segments;
    this.nodes = nodes;
  }

  /** The scope where these rules changed. */
  scope(scope: Scope, changed: readonly Rule[]): Scope {
    const members = changed.filter((rule) => isOfScope(rule, scope));
    return byPeer(members).reduce((so, { peer, rules }) => {
      const coverages = rules.map((rule) => coverageOf(this.#segments, rule));
      const change = { rules, edit: new TreeEdit(this.nodes, coverages) };
      return 'range' in peer ? this.#peers(so, peer.range, change) : this.#names(so, peer.fqdnId, change);
    }, scope);
  }

  #peers(scope: Scope, range: AddressRange, change: Change): Scope {
    const candidates = this.#candidates(scope, change, (peer) =>
      'range' in peer ? intersection(peer.range, range) : undefined,
    );
    const pieces = lowestRanks(range, candidates, change.edit.places);
    const end = successor(range.to);
    return { ...scope, peers: changeSteps(scope.peers, pieces, end, (ranks) => change.edit.to(ranks)) };
  }

  #names(scope: Scope, fqdnId: number, change: Change): Scope {
    const { starts, values } = scope.names;
    const lowest = new Array<number>(change.edit.places).fill(NONE);
    for (const { rank, places } of this.#candidates(
      scope,
      change,
      (peer) => 'fqdnId' in peer && peer.fqdnId === fqdnId,
    ))
      for (const place of places) lowest[place] = Math.min(lowest[place] ?? NONE, rank);
    const roots = new Map(Array.from(starts, (id, i) => [id, values[i] ?? EMPTY]));
    roots.set(fqdnId, change.edit.to(lowest)(roots.get(fqdnId) ?? EMPTY));
    const ids = [...roots.keys()].filter((id) => roots.get(id) !== EMPTY).sort((a, b) => a - b);
    return { ...scope, names: { starts: ids, values: ids.map((id) => roots.get(id) ?? EMPTY) } };
  }

  /** The rules that may decide where something changes, in ascending order of rank; `meets` says what of their peers is meant. */
  #candidates<T>(scope: Scope, { rules, edit }: Change, meets: (peer: Peer) => T | undefined | false) {
    return this.#rules.flatMap((rule, rank) => {
      if (!rules.some((changed) => mayShareKeys(changed, rule)) || !isOfScope(rule, scope)) return [];
      const range = meets(rule.peer);
      if (!range) return [];
      const places = edit.placesOf(coverageOf(this.#segments, rule));
      return places.length > 0 ? [{ rank, range, places }] : [];
    });
  }
}

/** Rules of one peer that came or went, and the places that they cover. */
type Change = { readonly rules: readonly Rule[]; readonly edit: TreeEdit };

/** Rules of one peer change the same addresses. */
function byPeer(rules: readonly Rule[]): { peer: Peer; rules: Rule[] }[] {
  const groups: { peer: Peer; rules: Rule[] }[] = [];
  for (const rule of rules) {
    const group = groups.find(({ peer }) => isSamePeer(peer, rule.peer));
    if (group) group.rules.push(rule);
    else groups.push({ peer: rule.peer, rules: [rule] });
  }
  return groups;
}

function isSamePeer(a: Peer, b: Peer): boolean {
  if ('range' in a) return 'range' in b && isSameRange(a.range, b.range);
  return 'fqdnId' in b && a.fqdnId === b.fqdnId;
}
