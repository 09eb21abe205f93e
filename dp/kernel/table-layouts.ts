// What the pinned tables of a dp are like, and what becomes of them when the programs want other ones. Pure.
import { createHash } from 'node:crypto';
import { POLICY_FORMAT } from './abi.gen.ts';
import type { Layout } from './btf.ts';
import type { MapShape } from './libbpf.ts';
import type { RecordLayout } from './record-layout.ts';

/** Written by the programs, of the traffic: of one layout or another together. */
export const TRAFFIC_TABLES = ['flows', 'denials', 'fragments'] as const;
/** Written by dp, as it was told, and what was learnt from DNS answers; `policies` apart. */
export const TOLD_TABLES = [
  'endpoints',
  'endpoint_addresses',
  'listeners',
  'fqdn_names',
  'address_names',
  'learnt_addresses',
  'resolvers',
  'ports',
] as const;
/** Sums. */
export const COUNT_TABLES = ['hits', 'drops'] as const;
/** `counters` and `events` are about the programs themselves, `socket_notes` end with their sockets, `dns_queries` within seconds: new ones begin empty. */
export const TABLES = [
  ...TOLD_TABLES,
  ...TRAFFIC_TABLES,
  ...COUNT_TABLES,
  'policies',
  'counters',
  'events',
  'socket_notes',
  'dns_queries',
] as const;
export type TableName = (typeof TABLES)[number];

/** `key` and `value` are undefined where the table's definition names no types. */
export type TableLayout = MapShape & {
  readonly key: RecordLayout | undefined;
  readonly value: RecordLayout | undefined;
};

/** `formats`: of what a map's definition does not show, each a digest. */
export type TablesLayout = {
  readonly tables: Readonly<Partial<Record<TableName, TableLayout>>>;
  readonly formats: { readonly policies: string; readonly events: string };
};

const POLICY_STRUCTS = ['policy_header', 'table', 'scope', 'step', 'port_node', 'rule'];
const POLICY_ENUMS = ['action', 'application'];
const EVENT_STRUCTS = ['event', 'flow_key', 'address'];
const EVENT_ENUMS = ['reason', 'action', 'direction', 'application'];

/** POLICY_FORMAT stands for what the structs of a policy don't show: how they are searched. */
export function formatsOf(btf: Layout): TablesLayout['formats'] {
  const digest = (structs: readonly string[], enums: readonly string[], more: number) =>
    createHash('sha256')
      .update(
        JSON.stringify([structs.map((name) => btf.structs.get(name)), enums.map((name) => btf.enums.get(name)), more]),
      )
      .digest('hex');
  return {
    policies: digest(POLICY_STRUCTS, POLICY_ENUMS, POLICY_FORMAT),
    events: digest(EVENT_STRUCTS, EVENT_ENUMS, 0),
  };
}

/** Tables that can't go on as they are. */
export type Moves = {
  /** To be made anew and filled from the old ones, or left empty. */
  readonly moved: ReadonlySet<TableName>;
  /** Policies mean something else: they have to be told again. */
  readonly arePoliciesLost: boolean;
};

export function movesBetween(before: TablesLayout, now: TablesLayout): Moves {
  const text = (layout: TablesLayout, name: TableName): string => JSON.stringify(layout.tables[name]);
  const moved = new Set<TableName>(TABLES.filter((name) => text(before, name) !== text(now, name)));
  if (before.formats.events !== now.formats.events) moved.add('events');
  if (before.formats.policies !== now.formats.policies) moved.add('policies');
  const arePoliciesLost = moved.has('policies');
  if (arePoliciesLost) moved.add('endpoints');
  if (TRAFFIC_TABLES.some((name) => moved.has(name))) for (const name of TRAFFIC_TABLES) moved.add(name);
  return { moved, arePoliciesLost };
}
