// Batches of a policy, and batches that have no place in one.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rule } from '../bpf/rules.ts';
import type { PolicyConfig } from '../protocol/commands.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { ACTION, DIRECTION, POLICY_COMMAND } from '../protocol/values.ts';
import { Batches } from './batches.ts';
import { MAX_RULES } from './policy.ts';

const [ONE, OTHER] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];
const [START, END] = [1, 2] as const;
const NEITHER = 0;
const WHOLE = 3;
const header = { cmd: POLICY_COMMAND.add, defact: ACTION.deny, dir: DIRECTION.both, mac: [ONE] };
const batch = (flag: PolicyConfig['flag'], ids: number[] = [], more: Partial<PolicyConfig> = {}): PolicyConfig => ({
  ...header,
  flag,
  rules: ids.map((id) => rule({ id })),
  ...more,
});
const idsOf = (change: ReturnType<Batches['add']>) => change?.rules.map(({ id }) => id);

const isOutOfOrder = (message: RegExp) => ({
  name: 'CommandError',
  code: ERROR_CODE.batchOrder,
  command: 'ctrl_cfg_policy',
  message,
});

describe('a policy', () => {
  it('of one batch is whole at once', () => {
    assert.deepEqual(new Batches().add(batch(WHOLE, [1, 2])), { ...header, rules: [rule({ id: 1 }), rule({ id: 2 })] });
  });
  it('of several is whole with END, its rules in the order of the batches', () => {
    const batches = new Batches();
    assert.equal(batches.add(batch(START, [1])), undefined);
    assert.equal(batches.add(batch(NEITHER, [2])), undefined);
    assert.deepEqual(idsOf(batches.add(batch(END, [3]))), [1, 2, 3]);
  });
  it('may have batches without rules', () => {
    const batches = new Batches();
    batches.add({ ...header, flag: START });
    assert.deepEqual(idsOf(batches.add(batch(END, [3]))), [3]);
  });
  it('may come between the batches of another workload’s', () => {
    const batches = new Batches();
    batches.add(batch(START, [1]));
    batches.add(batch(START, [11], { mac: [OTHER] }));
    assert.deepEqual(idsOf(batches.add(batch(END, [2]))), [1, 2]);
    assert.deepEqual(idsOf(batches.add(batch(END, [12], { mac: [OTHER] }))), [11, 12]);
  });
  it('begins anew with START, and drops what was begun', () => {
    const batches = new Batches();
    batches.add(batch(START, [1]));
    batches.add(batch(START, [2], { defact: ACTION.open }));
    assert.deepEqual(idsOf(batches.add(batch(END, [3], { defact: ACTION.open }))), [2, 3]);
  });
});

describe('a batch is refused', () => {
  for (const flag of [NEITHER, END] as const)
    it(`that nothing began: flag ${flag}`, () => {
      assert.throws(
        () => new Batches().add(batch(flag, [1])),
        isOutOfOrder(/02:00:00:00:00:01: a batch without START/),
      );
    });
  it('after the END of its policy', () => {
    const batches = new Batches();
    batches.add(batch(WHOLE, [1]));
    assert.throws(() => batches.add(batch(END, [2])), isOutOfOrder(/without START/));
  });
  const changes: readonly [says: string, more: Partial<PolicyConfig>][] = [
    ['default action', { defact: ACTION.open }],
    ['direction', { dir: DIRECTION.ingress }],
    ['kind of change', { cmd: POLICY_COMMAND.mod }],
  ];
  for (const [says, more] of changes)
    it(`with another ${says} than the one before, and with it what was begun`, () => {
      const batches = new Batches();
      batches.add(batch(START, [1]));
      assert.throws(
        () => batches.add(batch(END, [2], more)),
        isOutOfOrder(/the header changed between batches, from .* to /),
      );
      assert.throws(() => batches.add(batch(END, [2])), isOutOfOrder(/without START/));
    });
  it('for other workloads than the one before: it is none of theirs', () => {
    const batches = new Batches();
    batches.add(batch(START, [1]));
    assert.throws(
      () => batches.add(batch(END, [2], { mac: [ONE, OTHER] })),
      isOutOfOrder(/02:00:00:00:00:02: a batch/),
    );
    assert.deepEqual(idsOf(batches.add(batch(END, [2]))), [1, 2]);
  });
  it('that ends too many rules, and with it what was begun', () => {
    const batches = new Batches();
    const some = Array.from({ length: 1000 }, (_, id) => id);
    batches.add(batch(START));
    for (let rules = 0; rules <= MAX_RULES; rules += some.length) batches.add(batch(NEITHER, some));
    assert.throws(() => batches.add(batch(END, [1])), {
      message: /^66,001 rules in a policy; at most 65,536 fit: 465 too many; /,
    });
    assert.throws(() => batches.add(batch(END)), isOutOfOrder(/without START/));
  });
});

describe('policies that are begun and never ended', () => {
  it('are given up, the oldest first, where there are too many', () => {
    const batches = new Batches();
    const macs = Array.from(
      { length: 1025 },
      (_, i) => `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`,
    );
    for (const mac of macs) batches.add(batch(START, [1], { mac: [mac] }));
    const [oldest = '', next = ''] = macs;
    assert.throws(() => batches.add(batch(END, [2], { mac: [oldest] })), isOutOfOrder(/without START/));
    assert.deepEqual(idsOf(batches.add(batch(END, [2], { mac: [next] }))), [1, 2]);
  });
});
