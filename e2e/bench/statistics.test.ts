import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ratios, rotated, spreadOf } from './statistics.ts';

describe('the spread of samples', () => {
  const cases = [
    { name: 'of one is that one', samples: [3], spread: { min: 3, median: 3, max: 3 } },
    { name: 'of an odd number has the middle one', samples: [9, 1, 5], spread: { min: 1, median: 5, max: 9 } },
    { name: 'of an even number lies between two', samples: [4, 1, 10, 2], spread: { min: 1, median: 3, max: 10 } },
    { name: 'sorts numbers as numbers', samples: [100, 9, 20], spread: { min: 9, median: 20, max: 100 } },
  ];
  for (const { name, samples, spread } of cases) it(name, () => assert.deepEqual(spreadOf(samples), spread));

  it('of none is refused', () => assert.throws(() => spreadOf([]), RangeError));
});

describe('ratios', () => {
  it('take each sample by the base of its own run', () => assert.deepEqual(ratios([2, 9], [4, 3]), [0.5, 3]));
  it('are refused without a base', () => assert.throws(() => ratios([1, 2], [1]), RangeError));
  it('are refused with a base of nothing', () => assert.throws(() => ratios([1], [0]), RangeError));
});

describe('rotation', () => {
  it('begins with another item each time, and around again', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((by) => rotated(['a', 'b', 'c'], by).join('')),
      ['abc', 'bca', 'cab', 'abc'],
    );
  });
});
