// A lab with the one workload that is measured, a server behind the node, and a dp in the node.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import type { Command } from '../lab/command.ts';
import type { Lab } from '../lab/lab.ts';
import { configure, type Namespace } from '../lab/namespace.ts';
import { dpSocket } from '../lab/podwall.ts';
import type { LabProcess } from '../lab/process.ts';
import type { Workload } from '../lab/topology.ts';
import { waitFor } from '../lab/wait.ts';
import { DpClient } from './dp-client.ts';
import { RESPONSE_SERVER, STREAM_SERVER, webServer, webServerConfiguration } from './loads.ts';
import { SERVER_IP, WORKLOAD_IP } from './rule-sets.ts';

export const WORKLOAD: Workload = {
  name: 'pod',
  ip: WORKLOAD_IP,
  mac: 'aa:bb:cc:dd:ee:ff',
  hostInterface: 'veth-pod',
};
const READY_TIMEOUT_MS = 20_000;
const DP_MAIN = `${import.meta.dirname}/../../dp/main.ts`;

/** Client and server each on a CPU of their own, where there are two. */
export const onCpu = (cpu: number, command: Command): Command =>
  cpus().length > 1 ? ['taskset', '-c', `${cpu}`, ...command] : command;

export type Dp = { readonly process: LabProcess; readonly client: DpClient };

/** Starts a dp whose log holds errors alone; resolves once it answers. `options` are of Node. */
export async function startDp(lab: Lab, options: readonly string[] = []): Promise<Dp> {
  const places = ['--listen', dpSocket(lab), '--pin', lab.pins, '--standalone'];
  const dp = await lab.start('dp', lab.node, [process.execPath, ...options, DP_MAIN, ...places]);
  return { process: dp, client: await connectTo(lab) };
}

async function connectTo(lab: Lab): Promise<DpClient> {
  const client = await waitFor(
    'dp to answer',
    async () => {
      try {
        return new DpClient(dpSocket(lab), lab.file('bench.sock'), lab.signal);
      } catch {
        return undefined; // not there yet
      }
    },
    { timeoutMs: READY_TIMEOUT_MS, everyMs: 5, signal: lab.signal },
  );
  await client.sync();
  return client;
}

/** Interfaces of the node that stand for other workloads: they are policed and stay silent. */
export async function addSilentInterfaces(lab: Lab, count: number): Promise<{ iface: string; mac: string }[]> {
  const all = Array.from({ length: count }, (_, i) => {
    return { iface: `silent${i}`, mac: `02:00:00:00:00:${i.toString(16).padStart(2, '0')}` };
  });
  const lines = all.flatMap(({ iface }) => [
    `link add ${iface} type veth peer name ${iface}-peer`,
    `link set ${iface} up`,
  ]);
  await configure(lab.node, lines, { signal: lab.signal });
  return all;
}

/** The servers of all loads. */
export async function startServers(lab: Lab): Promise<void> {
  const server = await lab.addPeer({ name: 'server', ips: [SERVER_IP] });
  const directory = lab.file('nginx');
  await mkdir(directory);
  await writeFile(`${directory}/nginx.conf`, webServerConfiguration(directory));
  await lab.start('iperf3', server, onCpu(1, STREAM_SERVER));
  await lab.start('sockperf', server, onCpu(1, RESPONSE_SERVER));
  await lab.start('nginx', server, onCpu(1, webServer(directory)));
  await waitForPorts(lab, server, [80, 5201, 11111]);
}

async function waitForPorts(lab: Lab, server: Namespace, ports: readonly number[]): Promise<void> {
  const probe = async () => {
    const { stdout } = await lab.run(server, ['ss', '-Hltn']);
    return ports.every((port) => stdout.includes(`:${port} `)) || undefined;
  };
  await waitFor('the servers to listen', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
}
