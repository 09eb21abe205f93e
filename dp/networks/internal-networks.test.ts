// Which peers are external: by the subnets that dp was told of.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { kernelAddressOf } from '../kernel/address.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { InternalNetworks, MAX_SUBNETS } from './internal-networks.ts';

const WHOLE = 3;
const subnet = (ip: string, mask: string) => ({ ip, mask });
const TOLD = [subnet('10.0.0.0', '255.0.0.0'), subnet('192.168.7.9', '255.255.255.0'), subnet('fd00::', 'ff00::')];

function networks(...subnets: readonly { ip: string; mask: string }[]): InternalNetworks {
  const told = new InternalNetworks();
  told.add({ flag: WHOLE, subnet_addr: [...subnets] });
  return told;
}

describe('a peer is external', () => {
  const cases: readonly (readonly [address: string, isExternal: boolean])[] = [
    ['10.0.0.0', false],
    ['10.255.255.255', false],
    ['11.0.0.0', true],
    ['9.255.255.255', true],
    ['192.168.7.0', false],
    ['192.168.8.1', true],
    ['8.8.8.8', true],
    ['fd12::1', false],
    ['2001:db8::1', true],
    ['::a00:1', true],
    ['127.0.0.1', false],
    ['169.254.169.254', false],
    ['224.0.0.251', false],
    ['255.255.255.255', false],
    ['fe80::1', false],
    ['ff02::1', false],
  ];
  const told = networks(...TOLD);
  for (const [address, isExternal] of cases)
    it(`${isExternal ? 'yes' : 'no'}: ${address}`, () => {
      assert.equal(told.isExternal(kernelAddressOf(address)), isExternal);
    });
  it('never, while nothing was told', () => {
    assert.equal(new InternalNetworks().isExternal(kernelAddressOf('8.8.8.8')), false);
    const emptied = networks(...TOLD);
    emptied.add({ flag: WHOLE, subnet_addr: null });
    assert.equal(emptied.isExternal(kernelAddressOf('8.8.8.8')), false);
  });
  it('where no subnet has its address, for any subnets', () => {
    const any = fc.tuple(
      fc.constantFrom('11.0.0.0', '11.0.64.0', '12.1.2.3', '99.255.0.0'),
      fc.integer({ min: 0, max: 32 }),
    );
    const probe = fc
      .tuple(fc.constantFrom(11, 12, 99), fc.nat(255), fc.nat(255), fc.nat(255))
      .map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 6 }), probe, (subnets, address) => {
        const masks = subnets.map(([ip, bits]) => subnet(ip, ipaddr.IPv4.subnetMaskFromPrefixLength(bits).toString()));
        const isInside = subnets.some(([ip, bits]) => ipaddr.IPv4.parse(address).match(ipaddr.IPv4.parse(ip), bits));
        assert.equal(networks(...masks).isExternal(kernelAddressOf(address)), !isInside);
      }),
    );
  });
});

describe('the subnets', () => {
  it('may come in batches, and hold only once the last of them is there', () => {
    const told = networks(subnet('10.0.0.0', '255.0.0.0'));
    told.add({ flag: 1, subnet_addr: [subnet('172.16.0.0', '255.240.0.0')] });
    assert.equal(told.isExternal(kernelAddressOf('172.16.0.1')), true);
    told.add({ flag: 0, subnet_addr: [subnet('172.32.0.0', '255.255.0.0')] });
    told.add({ flag: 2, subnet_addr: null });
    assert.deepEqual(
      ['172.16.0.1', '172.32.0.1', '10.0.0.1'].map((ip) => told.isExternal(kernelAddressOf(ip))),
      [false, false, true],
    );
  });
  const refused: readonly (readonly [
    says: string,
    flag: 0 | 1 | 2 | 3,
    ip: string,
    mask: string,
    code: number,
    text: RegExp,
  ])[] = [
    ['of a mask with a gap', WHOLE, '10.0.0.0', '255.0.255.0', ERROR_CODE.invalidCommand, /255\.0\.255\.0.*in front/],
    ['of two families', WHOLE, '10.0.0.0', 'ffff::', ERROR_CODE.invalidCommand, /not of one address family/],
    ['of an IPv6 mask with a gap', WHOLE, 'fd00::', 'ff00:ff00::', ERROR_CODE.invalidCommand, /in front/],
    ['of a batch without START', 2, '10.0.0.0', '255.0.0.0', ERROR_CODE.batchOrder, /START/],
  ];
  for (const [says, flag, ip, mask, code, text] of refused)
    it(`${says} are refused, and those before stay`, () => {
      const told = networks(...TOLD);
      const before = told.list();
      assert.throws(
        () => told.add({ flag, subnet_addr: [subnet(ip, mask)] }),
        (error: unknown) => error instanceof CommandError && error.code === code && text.test(error.message),
      );
      assert.deepEqual(told.list(), before);
    });
  it('are limited in number', () => {
    const told = networks(...TOLD);
    const many = Array.from({ length: MAX_SUBNETS + 1 }, () => subnet('10.0.0.0', '255.0.0.0'));
    assert.throws(() => told.add({ flag: WHOLE, subnet_addr: many }), /65,537 subnets; at most 65,536 fit: 1 too many/);
  });
});
