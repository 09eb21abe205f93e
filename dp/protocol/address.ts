// Addresses in reports: 16 bytes that an Ethernet type explains, as in the reference's §6.2.
import ipaddr from 'ipaddr.js';

export const ETHER_TYPE = { none: 0, ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const ADDRESS_BYTES = 16;

/** An IPv4 address fills the first 4 of the 16 bytes. Throws where the text is no address. */
export function packAddress(text: string): { etherType: number; bytes: Uint8Array } {
  const address = ipaddr.parse(text);
  const bytes = new Uint8Array(ADDRESS_BYTES);
  bytes.set(address.toByteArray());
  return { etherType: address.kind() === 'ipv4' ? ETHER_TYPE.ipv4 : ETHER_TYPE.ipv6, bytes };
}

/** The address as text; empty for an Ethernet type that has none. */
export function unpackAddress(etherType: number, bytes: Uint8Array): string {
  if (etherType === ETHER_TYPE.ipv4) return ipaddr.fromByteArray([...bytes.subarray(0, 4)]).toString();
  return etherType === ETHER_TYPE.ipv6 ? ipaddr.fromByteArray([...bytes]).toString() : '';
}
