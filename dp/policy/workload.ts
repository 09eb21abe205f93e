// A workload, as dp and the kernel have it. Pure.
import { type Endpoint, type EndpointKey, family } from '../kernel/abi.gen.ts';
import { macBytes } from '../kernel/address.ts';
import { NO_POLICY } from '../kernel/slots.ts';
import type { Port } from '../ports/ports.ts';
import { ACTION, DIRECTION } from '../protocol/values.ts';
import type { KeptPolicy } from './kept-policy.ts';

const MAX_U32 = 0xffffffff;

export type Workload = {
  readonly mac: string;
  /** Of its interface in dp’s namespace, or its port’s id. */
  readonly ifindex: number;
  readonly iface: string;
  /** Where it is in another namespace. */
  readonly port: Port | undefined;
  /** As it is in the kernel. */
  state: Endpoint;
  /** Undefined where it has none, or where an earlier dp put it in force. */
  policy: KeptPolicy | undefined;
  /** That it may open connections from, of the families that `state` names. */
  addresses: ReadonlySet<string>;
};

export const UNPOLICED = { policy: NO_POLICY, defaultAction: ACTION.open, directions: DIRECTION.both, learns: 0 };

/** The MAC of an interface’s own entry. */
export const INTERFACE_ITSELF = new Uint8Array(6);

export const keyOf = ({ ifindex, mac }: Workload): EndpointKey => ({ ifindex, mac: macBytes(mac) });
export const isInterfaceItself = ({ mac }: EndpointKey): boolean => mac.every((byte) => byte === 0);
/** Link-local addresses are always a workload's own, and say nothing of the others. */
export const familiesOf = (addresses: ReadonlySet<string>): number =>
  [...addresses]
    .filter((address) => !address.startsWith('fe80:'))
    .reduce((families, address) => families | (address.includes(':') ? family.ipv6 : family.ipv4), 0);
export const nextEpoch = ({ state }: Workload): number => (state.epoch % MAX_U32) + 1;
