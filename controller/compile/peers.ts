// The sides of a published rule, as text: addresses, networks and ranges of what a resource names.
import { formatAddress, parseCidr, type parseEnds, subtract } from '../addresses/range.ts';
import type { PublishedRule } from '../api/keyspace.ts';
import type { Group } from './groups.ts';

const WORKLOAD = 'nv.workload';
export const ANY = 'nv.any';

export const groupText = ({ hash }: Group): string => `nv.group.${hash}`;

/** The workload on its own side, the peer on the other. */
export const sidesOf = (direction: PublishedRule['direction'], peer: string): Pick<PublishedRule, 'from' | 'to'> =>
  direction === 'egress' ? { from: WORKLOAD, to: peer } : { from: peer, to: WORKLOAD };

/** None where `except` leaves nothing. */
export function networkTexts(cidr: string, except: readonly string[]): string[] {
  const network = parseCidr(cidr);
  if (network && except.length === 0)
    return [`nv.ip.${formatAddress(network.family, network.first)}/${network.prefix}`];
  return rangeTexts(network, except);
}

export function rangeTexts(range: ReturnType<typeof parseEnds>, except: readonly string[]): string[] {
  if (!range) return [];
  return subtract(range, networksOf(except)).map(({ family, first, last }) => {
    const from = formatAddress(family, first);
    return first === last ? `nv.ip.${from}` : `nv.ip.${from}-${formatAddress(family, last)}`;
  });
}

export const networksOf = (cidrs: readonly string[]) => cidrs.map(parseCidr).filter((network) => network !== undefined);
