import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCommands } from '@podwall/dp/protocol/parse.ts';
import { changedRules, wholePolicy } from './dp-client.ts';
import { ruleset } from './nftables.ts';
import { groups, RULE_SETS, SERVER_IP } from './rule-sets.ts';

describe('rule sets', () => {
  for (const [name, make] of Object.entries(RULE_SETS)) {
    it(`${name}: as many rules as asked for, with ids of their own, the same each time`, () => {
      const rules = make(500);
      assert.equal(new Set(rules.map(({ id }) => id)).size, 500);
      assert.deepEqual(make(500), rules);
    });

    it(`${name}: commands that dp takes`, () => {
      const datagrams = [
        ...wholePolicy(['aa:bb:cc:dd:ee:ff'], make(100)),
        ...changedRules(['aa:bb:cc:dd:ee:ff'], make(1)),
      ];
      assert.deepEqual(
        datagrams.flatMap(parseCommands).filter((parsed) => 'error' in parsed),
        [],
      );
    });
  }

  it('benign: the last rule, and no other, is the server’s', () => {
    const rules = groups(1_000);
    assert.deepEqual(
      rules.filter(({ dip }) => dip === SERVER_IP),
      rules.slice(-1),
    );
  });

  it('without rules a policy allows everything, and with some nothing else', () => {
    const defaults = [groups(0), groups(1)].map((rules) => {
      const [first] = wholePolicy(['aa:bb:cc:dd:ee:ff'], rules).flatMap(parseCommands);
      return first && 'command' in first && first.command.name === 'ctrl_cfg_policy' && first.command.body.defact;
    });
    assert.deepEqual(defaults, [1, 2]);
  });
});

describe('nftables', () => {
  const rules = [
    { id: 1, sip: '10.0.0.1', dip: '10.0.0.2', port: 80, proto: 6, action: 1, ingress: false },
    {
      id: 2,
      sip: '10.0.0.1',
      dip: '10.1.0.0',
      dipr: '10.1.0.255',
      port: 1,
      portr: 9,
      proto: 6,
      action: 1,
      ingress: false,
    },
  ] as const;

  it('as a list has a line a rule, after what belongs to a connection', () => {
    const text = ruleset('list', rules, ['10.0.0.1']);
    assert.match(
      text,
      /ip daddr 10\.0\.0\.2 tcp dport 80 accept\nip daddr 10\.1\.0\.0-10\.1\.0\.255 tcp dport 1-9 accept\ndrop/,
    );
    assert.match(text, /ct state established,related accept\nip saddr vmap @workloads/);
  });

  it('as maps has one look-up for all rules', () => {
    const text = ruleset('maps', rules, ['10.0.0.1', '10.0.0.3']);
    assert.match(
      text,
      /elements = \{ 10\.0\.0\.2 \. tcp \. 80 : accept, 10\.1\.0\.0-10\.1\.0\.255 \. tcp \. 1-9 : accept \}/,
    );
    assert.match(text, /chain of_workload \{\nip daddr \. meta l4proto \. th dport vmap @rules\ndrop\n\}/);
    assert.match(text, /10\.0\.0\.1 : jump of_workload, 10\.0\.0\.3 : jump of_workload/);
  });

  for (const form of ['list', 'maps'] as const)
    it(`without rules accepts, as a ${form}`, () =>
      assert.match(ruleset(form, [], ['10.0.0.1']), /of_workload \{\naccept\n\}/));
});
