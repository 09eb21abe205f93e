// For tests: looks into dp's tables of flows, and does at once what a full one does.
import { denial, type Flow, type FlowKey, flow, flowKey } from '../kernel/abi.gen.ts';
import { GENERATIONS } from '../kernel/generation.ts';
import { getPinned } from '../kernel/libbpf.ts';
import { close } from '../kernel/libc.ts';
import { Table } from '../kernel/table.ts';
import { PROTOCOL } from '../protocol/values.ts';
import type { Lab } from './lab.ts';

const [IN_FORCE] = GENERATIONS;
type TableName = 'flows' | 'denials';

function withTable<T>({ pin }: Lab, name: TableName, use: (table: Table<FlowKey, unknown>) => T): T {
  const fd = getPinned(`${pin}/${IN_FORCE}/${name}`);
  try {
    return use(name === 'flows' ? new Table(fd, flowKey, flow) : new Table(fd, flowKey, denial));
  } finally {
    close(fd);
  }
}

/** Takes every entry out of tables of a dp's; answers how many there were. */
export function evict(lab: Lab, ...tables: readonly TableName[]): number {
  return tables.reduce(
    (count, name) =>
      count + withTable(lab, name, (table) => table.entries().filter(([key]) => table.delete(key)).length),
    0,
  );
}

/** The ports of the workload's side of the TCP connections in the table of flows, and how many entries that has. */
export function known(lab: Lab): { readonly localPorts: ReadonlySet<number>; readonly entries: number } {
  const keys = withTable(lab, 'flows', (table) => table.entries().map(([key]) => key));
  const isTcp = ({ protocol }: FlowKey) => protocol === PROTOCOL.tcp;
  return { localPorts: new Set(keys.filter(isTcp).map(({ localPort }) => localPort)), entries: keys.length };
}

/** What is remembered of the TCP connection whose client has this port. */
export function flowFrom(lab: Lab, clientPort: number): Flow | undefined {
  return withTable(lab, 'flows', (table) =>
    table
      .entries()
      .find(([key]) => key.protocol === PROTOCOL.tcp && [key.localPort, key.peerPort].includes(clientPort)),
  )?.[1] as Flow | undefined; // of this table
}
