// For tests: what a full table does, at once. Real floods are in bpf/pressure.test.ts.
import { denial, flow, flowKey } from '../kernel/abi.gen.ts';
import { getPinned } from '../kernel/libbpf.ts';
import { close } from '../kernel/libc.ts';
import { Table } from '../kernel/table.ts';
import type { Lab } from './lab.ts';

/** Takes every entry out of tables of a dp's; answers how many there were. */
export function evict({ pin }: Lab, ...tables: readonly ('flows' | 'denials')[]): number {
  let count = 0;
  for (const name of tables) {
    const fd = getPinned(`${pin}/${name}`);
    try {
      const table = name === 'flows' ? new Table(fd, flowKey, flow) : new Table(fd, flowKey, denial);
      for (const [key] of table.entries()) count += Number(table.delete(key));
    } finally {
      close(fd);
    }
  }
  return count;
}
