// Takes off what ports have put into other network namespaces, without a dp that runs.
import { port as portCodec } from '../kernel/abi.gen.ts';
import { number } from '../kernel/datapath.ts';
import { GENERATIONS } from '../kernel/generation.ts';
import { getPinned, isKernelError } from '../kernel/libbpf.ts';
import { close } from '../kernel/libc.ts';
import { Table } from '../kernel/table.ts';
import { Queues } from '../queue/queues.ts';
import { Watching } from '../tap/watching.ts';
import { Ports } from './ports.ts';

/** `path`: where a dp's tables and programs are pinned. */
export function detachPorts(path: string): void {
  for (const generation of GENERATIONS) detachPortsIn(path, `${path}/${generation}/ports`);
}

function detachPortsIn(path: string, table: string): void {
  const fd = pinnedTable(table);
  if (fd === undefined) return;
  const ports = new Ports(new Table(fd, number, portCodec), {
    tap: new Watching(`${path}/watched`, `${path}/watchers`, 'auto'),
    queue: new Queues(() => false),
  });
  for (const port of ports.all()) ports.detach(port);
  close(fd);
}

function pinnedTable(path: string): number | undefined {
  try {
    return getPinned(path);
  } catch (error) {
    if (isKernelError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
