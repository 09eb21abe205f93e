// The DNS servers whose answers to workloads count. They are in the kernel alone: a dp that comes back finds them there.
import { kernelAddressOf, textOf } from '../kernel/address.ts';
import type { Datapath } from '../kernel/datapath.ts';

/** These take the place of those before. */
export function setResolvers(datapath: Datapath, addresses: readonly string[]): void {
  const wanted = new Set(addresses.map((address) => textOf(kernelAddressOf(address))));
  const present = new Set(listResolvers(datapath));
  for (const address of present.difference(wanted)) datapath.resolvers.delete(kernelAddressOf(address));
  for (const address of wanted.difference(present)) datapath.resolvers.set(kernelAddressOf(address), {});
}

export const listResolvers = (datapath: Datapath): string[] =>
  datapath.resolvers
    .entries()
    .map(([address]) => textOf(address))
    .sort();
