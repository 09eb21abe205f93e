// Memory of a table of a million flows, each of them opened by the program itself.
import { ACTION, DIRECTION } from '@podwall/dp/protocol/values.ts';
import { flow, flowKey, NETNS_UNKNOWN } from '../../dp/kernel/abi.gen.ts';
import { macBytes } from '../../dp/kernel/address.ts';
import { visitEntries } from '../../dp/kernel/bulk.ts';
import type { Bench } from './bench.ts';
import type { Figure } from './figure.ts';
import { TCP_FLAG, tcpPacket } from './packet.ts';
import { mapBytes, Parts } from './parts.ts';
import { SERVER_IP, WORKLOAD_IP } from './rule-sets.ts';

const SECTION = 'Flows';
const FLOWS = 1_000_000;
const PORTS = 50_000;
const TARGET_MIB = 176;
const MAC = '02:00:00:00:02:00';
const NO_POLICY = {
  policy: 0,
  epoch: 1,
  revision: 1,
  defaultAction: ACTION.open,
  directions: DIRECTION.both,
  tap: 0,
  families: 0,
  netns: NETNS_UNKNOWN,
  learns: 0,
};

export async function* measureFlowTable(bench: Bench): AsyncGenerator<Figure> {
  bench.say('flows: opening 1,000,000');
  using parts = new Parts({ flows: FLOWS });
  const packet = tcpPacket({
    sourceMac: MAC,
    destinationMac: '02:00:00:00:01:00',
    source: WORKLOAD_IP,
    destination: SERVER_IP,
    sourcePort: 1,
    destinationPort: 80,
    flags: TCP_FLAG.syn,
    payloadBytes: 0,
  });
  const opening: number[] = [];
  for (let id = 1; id * PORTS <= FLOWS; id++) {
    bench.signal.throwIfAborted();
    parts.place(macBytes(MAC), { ...NO_POLICY, id });
    opening.push(parts.time('from_workload_by_next_port', packet, PORTS));
  }
  const mib = mapBytes(parts.fd('flows')) / 2 ** 20;
  const section = SECTION;
  yield { section, name: 'table for 1,000,000 flows', unit: 'MiB', samples: [mib], target: { atMost: TARGET_MIB } };
  yield { section, name: 'flows in it after 1,000,000 were opened', unit: '', samples: [count(parts.fd('flows'))] };
  yield { section, name: 'opening one, at each 50,000', unit: 'ns', samples: opening };
}

function count(fd: number): number {
  let found = 0;
  visitEntries(fd, flowKey.size, flow.size, () => {
    found += 1;
  });
  return found;
}
