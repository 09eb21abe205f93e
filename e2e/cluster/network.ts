// The network namespaces of a local cluster and the links between them. Nothing leads out of the machine, and its own
// network namespace gets no interface.
import { existsSync } from 'node:fs';
import type { RunOptions } from '../lab/command.ts';
import { addNamespace, configure, type Namespace, setSysctl } from '../lab/namespace.ts';
import { nodeIp, OUTSIDE_DNS, OUTSIDE_GATEWAY, OUTSIDE_WEB, podNetworkOf, ROUTER_IP } from './addresses.ts';
import { nodeName, nodeNamespace, outsideOf, routerOf } from './names.ts';
import type { Cluster } from './places.ts';

const NODES_BRIDGE = 'nodes';
const OUTSIDE_BRIDGE = 'outside';

/** Does nothing where it is there. */
export async function makeRouter(cluster: Cluster, options: RunOptions): Promise<void> {
  const router = routerOf(cluster);
  if (existsSync(router.path)) return;
  await addNamespace(router, options);
  await setSysctl(router, 'net/ipv4/ip_forward', options);
  const bridge = (name: string, ip: string) => [
    `link add ${name} type bridge`,
    `address add ${ip}/24 dev ${name}`,
    `link set ${name} up`,
  ];
  await configure(router, [...bridge(NODES_BRIDGE, ROUTER_IP), ...bridge(OUTSIDE_BRIDGE, OUTSIDE_GATEWAY)], options);
  const outside = outsideOf(cluster);
  await addNamespace(outside, options);
  await join(
    router,
    outside,
    { port: 'outside-0', bridge: OUTSIDE_BRIDGE, ip: OUTSIDE_DNS, gateway: OUTSIDE_GATEWAY },
    options,
  );
  await configure(outside, [`address add ${OUTSIDE_WEB}/24 dev eth0`], options);
}

/** Node `index`, from 1; its pods are reached through it. */
export async function makeNodeNetwork(cluster: Cluster, index: number, options: RunOptions): Promise<void> {
  const router = routerOf(cluster);
  const name = nodeName(index);
  const node = nodeNamespace(cluster, name);
  if (existsSync(node.path)) return;
  await addNamespace(node, options);
  await setSysctl(node, 'net/ipv4/ip_forward', options);
  await setSysctl(node, 'net/bridge/bridge-nf-call-iptables', options); // services, for pods on one bridge
  await join(
    router,
    node,
    { port: `node-${name}`, bridge: NODES_BRIDGE, ip: nodeIp(index), gateway: ROUTER_IP },
    options,
  );
  await configure(router, [`route replace ${podNetworkOf(index)} via ${nodeIp(index)}`], options);
}

/** Between nodes, pods' packets go straight, as with a cluster's usual routes. */
export async function routeBetweenNodes(cluster: Cluster, count: number, options: RunOptions): Promise<void> {
  const indexes = Array.from({ length: count }, (_, i) => i + 1);
  for (const index of indexes) {
    const others = indexes.filter((other) => other !== index);
    const routes = others.map((other) => `route replace ${podNetworkOf(other)} via ${nodeIp(other)}`);
    await configure(nodeNamespace(cluster, nodeName(index)), routes, options);
  }
}

type Port = { readonly port: string; readonly bridge: string; readonly ip: string; readonly gateway: string };

async function join(router: Namespace, other: Namespace, wiring: Port, options: RunOptions): Promise<void> {
  const { port, bridge, ip, gateway } = wiring;
  await configure(
    router,
    [`link add ${port} type veth peer name eth0 netns ${other.name}`, `link set ${port} master ${bridge} up`],
    options,
  );
  await configure(
    other,
    [`address add ${ip}/24 dev eth0`, 'link set eth0 up', `route add default via ${gateway}`],
    options,
  );
}
