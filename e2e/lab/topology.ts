// How a lab's namespaces are wired: every other namespace has one veth into the node's, which routes between them.
import type { Namespace } from './namespace.ts';

/** The node's address on every link, and so everybody's gateway. */
export const NODE_IP = '192.168.1.1';

export type Workload = {
  readonly name: string;
  readonly ip: string;
  readonly mac: string;
  /** The end of its veth that the node sees; at most 15 characters. */
  readonly hostInterface: string;
};

export type Peer = { readonly name: string; readonly ips: readonly string[] };

/** `ip` commands for the node's namespace and for the other's. */
export type Wiring = { readonly node: readonly string[]; readonly other: readonly string[] };

const WORKLOAD_PREFIX_BITS = 24;

export function wireWorkload(workload: Workload, namespace: Namespace): Wiring {
  const { hostInterface, ip, mac } = workload;
  return {
    node: [
      `link add ${hostInterface} type veth peer name eth0 address ${mac} netns ${namespace.name}`,
      `address add ${NODE_IP}/32 dev ${hostInterface}`,
      `link set ${hostInterface} up`,
      `route add ${ip}/32 dev ${hostInterface}`,
    ],
    other: [
      `address add ${ip}/${WORKLOAD_PREFIX_BITS} dev eth0`,
      'link set eth0 up',
      `route add default via ${NODE_IP} dev eth0`,
    ],
  };
}

export function wirePeer({ name, ips }: Peer, namespace: Namespace): Wiring {
  const hostInterface = `veth-${name}`;
  return {
    node: [
      `link add ${hostInterface} type veth peer name eth0 netns ${namespace.name}`,
      `address add ${NODE_IP}/32 dev ${hostInterface}`,
      `link set ${hostInterface} up`,
      ...ips.map((ip) => `route add ${ip}/32 dev ${hostInterface}`),
    ],
    other: [
      ...ips.map((ip) => `address add ${ip}/32 dev eth0`),
      'link set eth0 up',
      `route add default via ${NODE_IP} dev eth0 onlink`,
    ],
  };
}
