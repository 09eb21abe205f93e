import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judge } from './figure.ts';
import { formatNumber, renderJson, renderMarkdown } from './table.ts';

const figure = (samples: readonly number[]) => ({ section: 'Speed', name: 'a packet', unit: 'ns', samples });

describe('a figure', () => {
  const cases = [
    { name: 'reaches a least by its median', samples: [0.1, 0.95, 0.96], target: { atLeast: 0.95 }, reached: true },
    { name: 'misses a least by its median', samples: [0.94, 0.94, 2], target: { atLeast: 0.95 }, reached: false },
    { name: 'reaches a most that it equals', samples: [100], target: { atMost: 100 }, reached: true },
    { name: 'misses a most by a hair', samples: [176.2], target: { atMost: 176 }, reached: false },
  ];
  for (const { name, samples, target, reached } of cases)
    it(name, () => assert.equal(judge({ ...figure(samples), target }).reached, reached));

  it('without a target is not judged', () => assert.equal(judge(figure([1])).reached, undefined));
});

describe('the table', () => {
  const figures = [
    judge({ ...figure([120, 80, 90]), target: { atMost: 100 } }),
    judge({ section: 'Memory', name: 'dp', unit: 'MiB', samples: [12_345.6] }),
    judge({ ...figure([0.5]), target: { atLeast: 1 } }),
  ];
  const result = { conditions: { machine: 'this' }, figures, profiles: [{ title: 'Profile', lines: ['a', 'b'] }] };

  it('in Markdown has a section for each kind of figure, and says what was reached', () => {
    const heading =
      '| Figure | Unit | Min | Median | Max | Target | Reached |\n| --- | --- | ---: | ---: | ---: | --- | --- |';
    assert.equal(
      renderMarkdown(result),
      [
        '# Podwall bench',
        '- machine: this',
        '1 of 2 targets reached, by the median.',
        '## Speed',
        `${heading}\n| a packet | ns | 80 | 90 | 120 | ≤ 100 | yes |\n| a packet | ns | 0.5 | 0.5 | 0.5 | ≥ 1 | **no** |`,
        '## Memory',
        `${heading}\n| dp | MiB | 12,346 | 12,346 | 12,346 |  |  |`,
        '## Profile',
        '```\na\nb\n```',
        '',
      ].join('\n\n'),
    );
  });

  it('in JSON has every sample', () => {
    assert.deepEqual(JSON.parse(renderJson(result)).figures[0].samples, [120, 80, 90]);
  });

  it('shows enough of a number to tell it from its target', () => {
    assert.deepEqual([0.954, 17.84, 176.24, 999_936].map(formatNumber), ['0.95', '17.8', '176.2', '999,936']);
  });
});
