// The subnets that count as internal: a peer in none of them is external, and reports say so. Pure.
import type { Address } from '../kernel/abi.gen.ts';
import { kernelAddressOf, textOf } from '../kernel/address.ts';
import { requireRoom } from '../limits.ts';
import type { CommandBody } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { BATCH_FLAG } from '../protocol/values.ts';

type Change = CommandBody<'ctrl_cfg_internal_net'>;
/** Both ends belong to it; IPv4 as ::ffff:a.b.c.d. */
type Range = { readonly first: bigint; readonly last: bigint };

export const MAX_SUBNETS = 65_536;
const ALL_ONES = (1n << 128n) - 1n;
const IPV4_PREFIX = 0xffffn << 32n;

/** They never leave a link or a host, whatever is told: loopback, link-local, multicast, broadcast, and no address at all. */
const ALWAYS_INTERNAL = (
  [
    ['127.0.0.0', '255.0.0.0'],
    ['169.254.0.0', '255.255.0.0'],
    ['224.0.0.0', '240.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['0.0.0.0', '255.255.255.255'],
    ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['fe80::', 'ffc0::'],
    ['ff00::', 'ff00::'],
  ] as const
).map(([ip, mask]) => rangeOf(ip, mask));

export class InternalNetworks {
  /** In ascending order, none touching another. Empty: nothing was told, and no peer is external. */
  #ranges: readonly Range[] = [];
  #told: readonly Range[] = [];
  /** Once they are too many, they are only counted, so that END can say how many. */
  #coming: { ranges: Range[]; count: number } | undefined;

  /** One batch; with END, all of them take the place of what was told before. Throws CommandError, or at END LimitExceeded: nothing changes. */
  add({ flag, subnet_addr }: Change): void {
    if (flag & BATCH_FLAG.start) this.#coming = { ranges: [], count: 0 };
    if (!this.#coming)
      throw refusal(ERROR_CODE.batchOrder, 'a batch without START that nothing began: send START first');
    const coming = this.#coming;
    this.#coming = undefined; // what is refused ends it
    const subnets = subnet_addr ?? [];
    coming.count += subnets.length;
    for (const { ip, mask } of subnets) coming.ranges.push(checkedRange(ip, mask));
    if (coming.count > MAX_SUBNETS) coming.ranges = [];
    if (flag & BATCH_FLAG.end) this.#take(coming);
    else this.#coming = coming;
  }

  #take({ ranges, count }: { readonly ranges: readonly Range[]; readonly count: number }): void {
    requireRoom('subnets', count, MAX_SUBNETS);
    this.#told = merged(ranges);
    this.#ranges = ranges.length > 0 ? merged([...ranges, ...ALWAYS_INTERNAL]) : [];
  }

  isExternal(address: Address): boolean {
    const value = (address.high << 64n) | address.low;
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as Range).last < value) low = middle + 1;
      else high = middle;
    }
    const found = this.#ranges[low];
    return this.#ranges.length > 0 && (found === undefined || value < found.first);
  }

  /** What was told, as `first-last`, in ascending order. */
  list(): string[] {
    return this.#told.map(({ first, last }) => (first === last ? text(first) : `${text(first)}-${text(last)}`));
  }
}

const refusal = (code: typeof ERROR_CODE.batchOrder | typeof ERROR_CODE.invalidCommand, message: string) =>
  new CommandError('ctrl_cfg_internal_net', code, `ctrl_cfg_internal_net: ${message}`);

const text = (value: bigint): string => textOf({ high: value >> 64n, low: value & ((1n << 64n) - 1n) });

function numberOf(ip: string): bigint {
  const { high, low } = kernelAddressOf(ip);
  return (high << 64n) | low;
}

/** A mask that is no prefix is refused: which addresses it means would be a guess. */
function checkedRange(ip: string, mask: string): Range {
  if (ip.includes(':') !== mask.includes(':'))
    throw refusal(ERROR_CODE.invalidCommand, `ip ${ip} and mask ${mask} are not of one address family`);
  const hostBits = hostBitsOf(mask);
  if (hostBits & (hostBits + 1n))
    throw refusal(ERROR_CODE.invalidCommand, `mask ${mask}: its ones must be in front, as in 255.255.0.0`);
  return rangeOf(ip, mask);
}

function hostBitsOf(mask: string): bigint {
  const isIpv4 = !mask.includes(':');
  return isIpv4 ? numberOf(mask) ^ IPV4_PREFIX ^ 0xffffffffn : numberOf(mask) ^ ALL_ONES;
}

function rangeOf(ip: string, mask: string): Range {
  const hostBits = hostBitsOf(mask);
  return { first: numberOf(ip) & ~hostBits, last: numberOf(ip) | hostBits };
}

function merged(ranges: readonly Range[]): Range[] {
  const out: Range[] = [];
  for (const range of ranges.toSorted((a, b) => (a.first < b.first ? -1 : Number(a.first > b.first)))) {
    const before = out.at(-1);
    if (!before || range.first > before.last + 1n) out.push(range);
    else if (range.last > before.last) out[out.length - 1] = { first: before.first, last: range.last };
  }
  return out;
}
