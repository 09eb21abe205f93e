// The two sides of a published rule: `nv.any`, `nv.workload`, `nv.ip.…`, `nv.fqdn.…`, `nv.group.…`.
import type { GroupMember } from '@podwall/controller/api/keyspace.ts';
import { type AddressRange, EVERY_ADDRESS, type Family, mergeRanges, parseRange } from './ranges.ts';

export type Groups = ReadonlyMap<string, readonly GroupMember[]>;

export type Side =
  | { readonly kind: 'any' }
  | { readonly kind: 'ranges'; readonly ranges: readonly AddressRange[] }
  | { readonly kind: 'fqdn'; readonly name: string }
  | { readonly kind: 'group'; readonly hash: string; readonly members: readonly GroupMember[] };

const IP = 'nv.ip.';
const FQDN = 'nv.fqdn.';
const GROUP = 'nv.group.';

/** The hash of the group that a side names. */
export const groupOf = (text: string): string | undefined =>
  text.startsWith(GROUP) ? text.slice(GROUP.length) : undefined;

/** Throws RangeError for an address that is none, for a form that is not known, and for a group that is not there. */
export function parseSide(text: string, groups: Groups): Side {
  if (text === 'nv.any' || text === 'nv.workload') return { kind: 'any' };
  if (text.startsWith(IP)) return { kind: 'ranges', ranges: [parseRange(text.slice(IP.length))] };
  if (text.startsWith(FQDN)) return { kind: 'fqdn', name: text.slice(FQDN.length).toLowerCase().replace(/\.$/, '') };
  const hash = groupOf(text);
  if (hash === undefined) throw new RangeError(`${text} is not a peer that is known`);
  const members = groups.get(hash);
  if (!members) throw new RangeError(`the group ${hash} is not known`);
  return { kind: 'group', hash, members };
}

/** The ranges of one family that a side stands for; for a name, every address. */
export function rangesOf(side: Side, family: Family): readonly AddressRange[] {
  if (side.kind === 'any' || side.kind === 'fqdn') return [EVERY_ADDRESS[family]];
  const ranges = side.kind === 'ranges' ? side.ranges : rangesOfMembers(side.members);
  return ranges.filter((range) => range.family === family);
}

/** A group's members are one array for as long as none changes, and many rules of many workloads name the same group. */
const merged = new WeakMap<readonly GroupMember[], readonly AddressRange[]>();

function rangesOfMembers(members: readonly GroupMember[]): readonly AddressRange[] {
  const known = merged.get(members);
  if (known) return known;
  const ranges = mergeRanges(members.flatMap(({ ips }) => ips.map(parseRange)));
  merged.set(members, ranges);
  return ranges;
}
