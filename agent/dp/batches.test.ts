import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DPWorkloadIPPolicy, PolicyConfig, PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { parseCommands } from '@podwall/dp/protocol/parse.ts';
import { MAX_DATAGRAM_BYTES, policyBatches, removePolicy } from './batches.ts';

const MAC = 'aa:bb:cc:dd:ee:ff';

const rules = (count: number, more: Partial<PolicyRule> = {}): PolicyRule[] =>
  Array.from({ length: count }, (_, i) => ({
    ...{ id: 1001 + i, sip: '0.0.0.0', dip: '10.0.0.1', sipr: '255.255.255.255', dipr: '10.0.0.1' },
    ...{ port: 80, portr: 80, proto: 6, action: 1, ingress: false, ...more },
  }));

const policy = (policy_rules: PolicyRule[]): DPWorkloadIPPolicy => ({
  ...{ wl_id: 'w', mode: 'protect', defact: 2, apply_dir: 3, mac: [MAC], policy_rules },
});

const LONG_NAME = `${`${'a'.repeat(63)}.`.repeat(3)}example`;
const manyApps = Array.from({ length: 40 }, () => ({ app: 100, action: 1, rid: 0xffffffff }) as const);

function read(datagrams: readonly Buffer[]): PolicyConfig[] {
  return datagrams.flatMap(parseCommands).map((parsed) => {
    assert('command' in parsed && parsed.command.name === 'ctrl_cfg_policy', JSON.stringify(parsed));
    return parsed.command.body;
  });
}

describe('a policy as datagrams', () => {
  const cases = [
    ['no rules', rules(0), [[3, 0]]],
    ['one rule', rules(1), [[3, 1]]],
    ['40 rules', rules(40), [[3, 40]]],
    [
      '41 rules',
      rules(41),
      [
        [1, 40],
        [2, 1],
      ],
    ],
    [
      '100 rules',
      rules(100),
      [
        [1, 40],
        [0, 40],
        [2, 20],
      ],
    ],
  ] as const;
  for (const [what, of, expected] of cases)
    it(`has, for ${what}, the flags and counts ${JSON.stringify(expected)}`, () => {
      const batches = read(policyBatches(policy([...of])));
      assert.deepEqual(
        batches.map(({ flag, rules }) => [flag, rules?.length]),
        expected,
      );
      assert.deepEqual(
        batches.flatMap(({ rules = [] }) => rules),
        of,
      );
      for (const { cmd, defact, dir, mac } of batches)
        assert.deepEqual({ cmd, defact, dir, mac }, { cmd: 1, defact: 2, dir: 3, mac: [MAC] });
    });

  it('has smaller batches where 40 rules would not fit a datagram', () => {
    const large = rules(80, { fqdn: LONG_NAME, apps: manyApps });
    const datagrams = policyBatches(policy(large));
    assert(datagrams.length > 2);
    for (const { length } of datagrams) assert(length <= MAX_DATAGRAM_BYTES, `${length} bytes`);
    assert.deepEqual(
      read(datagrams).flatMap(({ rules = [] }) => rules),
      large,
    );
  });

  it('is, to remove it, a DEL without rules', () => {
    assert.deepEqual(read([removePolicy(MAC)]), [{ cmd: 2, flag: 3, defact: 1, dir: 3, mac: [MAC], rules: [] }]);
  });
});
