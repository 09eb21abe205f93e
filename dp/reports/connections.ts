// Reports the connections that had traffic since the last time, and those that ended.
import { direction, type Flow, type FlowKey, seen, TICK_SHIFT } from '../kernel/abi.gen.ts';
import { packedOf } from '../kernel/address.ts';
import type { FlowsFound } from '../kernel/datapath.ts';
import type { Use } from '../learning/learnt-addresses.ts';
import type { InternalNetworks } from '../networks/internal-networks.ts';
import { applicationNumber } from '../policy/applications.ts';
import type { Workload } from '../policy/workload.ts';
import type { Workloads } from '../policy/workloads.ts';
import { CONNECTION_FLAG, type Connection, MAX_REPORT_BYTES, type Report } from '../protocol/reports.ts';
import { ACTION } from '../protocol/values.ts';
import { unixSeconds } from './clock.ts';

/** Of one report; 116 bytes each. */
const PER_REPORT = Math.floor(MAX_REPORT_BYTES / 128);
/** Of one collection: what is beyond is left out and counted, so that a busy node's walk stays bounded. */
const MAX_CONNECTIONS = 20_000;
/** What an earlier dp may not have told of any more: some 30 s. Sums that are told twice do no harm. */
const LOOK_BACK_TICKS = 28;
const ACTION_MASK = 0xffn;

/** A table of flows: those that had a packet in this tick or a later one, `most` of them. */
type FlowSource = { flowsSince(tick: number, most: number): FlowsFound };

export class Connections {
  readonly #sources: readonly FlowSource[];
  readonly #workloads: Workloads;
  readonly #networks: InternalNetworks;
  #since = nowTicks() - LOOK_BACK_TICKS;

  constructor(sources: readonly FlowSource[], workloads: Workloads, networks: InternalNetworks) {
    this.#sources = sources;
    this.#workloads = workloads;
    this.#networks = networks;
  }

  /** What had traffic since the last call, how many connections there was no room for, and which addresses of names they use. */
  collect(): { readonly reports: readonly Report[]; readonly leftOut: number; readonly uses: readonly Use[] } {
    const since = this.#since;
    this.#since = nowTicks();
    const byId = new Map(this.#workloads.all().map((workload) => [workload.state.id, workload]));
    const connections: Connection[] = [];
    const uses: Use[] = [];
    let leftOut = 0;
    for (const source of this.#sources) {
      const found = source.flowsSince(since, MAX_CONNECTIONS - connections.length);
      leftOut += found.leftOut;
      for (const [key, flow] of found.flows) {
        const workload = byId.get(key.endpoint);
        if (!workload) continue;
        if (flow.name !== 0) uses.push({ address: key.peer, name: flow.name });
        connections.push(this.#connectionOf(key, flow, workload));
      }
    }
    const reports: Report[] = [];
    for (let at = 0; at < connections.length; at += PER_REPORT)
      reports.push({ kind: 'connection', connections: connections.slice(at, at + PER_REPORT) });
    return { reports, leftOut, uses };
  }

  #connectionOf(key: FlowKey, flow: Flow, workload: Workload): Connection {
    return connectionOf(key, flow, workload, this.#networks.isExternal(key.peer) ? CONNECTION_FLAG.external : 0);
  }
}

const nowTicks = (): number => Number(process.hrtime.bigint() >> BigInt(TICK_SHIFT));
const secondsOfTick = (tick: number): number => unixSeconds(BigInt(tick) << BigInt(TICK_SHIFT));

const BOTH_FINS = seen.finEgress | seen.finIngress;
const isClosed = (flow: Flow): boolean => (flow.seen & seen.rst) !== 0 || (flow.seen & BOTH_FINS) === BOTH_FINS;

/** Pure. The rule id means what it meant at the workload's present revision: an older decision is renewed by the next packet. */
function connectionOf(key: FlowKey, flow: Flow, workload: Workload, external: number): Connection {
  const [local, peer] = [packedOf(key.local), packedOf(key.peer)];
  const isIngress = flow.direction === direction.ingress;
  const [client, server] = isIngress ? [peer, local] : [local, peer];
  const [clientPort, serverPort] = isIngress ? [key.peerPort, key.localPort] : [key.localPort, key.peerPort];
  const [fromWorkload, toWorkload] = [flow.sides[direction.egress], flow.sides[direction.ingress]];
  const [sent, received] = isIngress ? [toWorkload, fromWorkload] : [fromWorkload, toWorkload];
  const action = Number(flow.decision & ACTION_MASK) || ACTION.open;
  const flags =
    (isIngress ? CONNECTION_FLAG.ingress : 0) |
    (action === ACTION.violate ? CONNECTION_FLAG.violation : 0) |
    (isClosed(flow) ? CONNECTION_FLAG.closed : 0) |
    external;
  return {
    mac: workload.mac,
    etherType: local.etherType,
    client: client.bytes,
    server: server.bytes,
    clientPort,
    serverPort,
    ipProtocol: key.protocol,
    flags,
    action,
    application: applicationNumber(flow.application),
    ruleId: flow.ruleId,
    revision: workload.state.revision,
    firstSeenAt: secondsOfTick(flow.firstSeen),
    lastSeenAt: secondsOfTick(flow.lastSeen),
    clientBytes: sent?.bytes ?? 0n,
    serverBytes: received?.bytes ?? 0n,
    clientPackets: sent?.packets ?? 0n,
    serverPackets: received?.packets ?? 0n,
  };
}
