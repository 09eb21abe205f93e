import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOADS } from './loads.ts';
import { parseOptions } from './options.ts';
import { renderSelfTimes, selfTimes } from './profile.ts';

const [stream, response, connect] = LOADS;

describe('what the clients say', () => {
  const cases = [
    {
      name: 'iperf3: what the receiver got',
      load: stream,
      output:
        '{"end": {"sum_sent": {"bits_per_second": 1},\n "sum_received":\t{"seconds": 1,\n "bits_per_second":\t2.5e9}}}',
      value: 2.5,
    },
    {
      name: 'sockperf: messages by time',
      load: response,
      output: 'sockperf: [Valid Duration] RunTime=0.500 sec; SentMessages=5001; ReceivedMessages=5000\n',
      value: 10_000,
    },
    { name: 'wrk: requests', load: connect, output: 'Requests/sec:  11462.25\n', value: 11_462.25 },
    {
      name: 'wrk: not where some failed',
      load: connect,
      output: 'Socket errors: 1\nRequests/sec: 9\n',
      value: undefined,
    },
    { name: 'nothing where there is no figure', load: stream, output: '{"error": "refused"}', value: undefined },
  ];
  for (const { name, load, output, value } of cases) it(name, () => assert.equal(load?.read(output), value));
});

describe('the command line', () => {
  const all = ['traffic', 'program', 'change', 'memory', 'flows'];
  const run = { action: 'run', json: undefined, markdown: undefined };
  const cases = [
    { args: [], options: { ...run, isQuick: false, parts: all, rounds: 7 } },
    { args: ['--quick'], options: { ...run, isQuick: true, parts: all, rounds: 3 } },
    {
      args: ['--only', 'flows', '--only', 'change', '--rounds', '2', '--json', 'a'],
      options: { ...run, isQuick: false, parts: ['change', 'flows'], rounds: 2, json: 'a' },
    },
    { args: ['-h', '--quick'], options: { action: 'help' } },
  ];
  for (const { args, options } of cases)
    it(`reads ${args.join(' ') || 'nothing'}`, () => assert.deepEqual(parseOptions(args), options));

  for (const args of [['--rounds', '0'], ['--rounds', 'x'], ['--only', 'everything'], ['--fast'], ['file']])
    it(`refuses ${args.join(' ')}`, () => assert.throws(() => parseOptions(args), { code: 'Usage' }));
});

describe('a profile', () => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 });
  const profile = {
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 5, callFrame: frame('post', 'node:inspector') },
      { id: 2, callFrame: frame('sweep', 'file:///x/dp/policy/classifier.ts') },
      { id: 3, callFrame: frame('sweep', 'file:///x/dp/policy/classifier.ts') },
      { id: 4, callFrame: frame('(garbage collector)') },
    ],
    samples: [1, 2, 3, 4, 5],
    timeDeltas: [5_000, 1_000, 2_000, 1_000, 8_000],
  };

  it('adds up each function’s own time, without idling and the profiler', () => {
    assert.deepEqual(selfTimes(profile), [
      { where: 'sweep policy/classifier.ts:10', ms: 3 },
      { where: '(garbage collector)', ms: 1 },
    ]);
  });

  it('says the longest first', () => {
    assert.deepEqual(renderSelfTimes(selfTimes(profile), 1), ['     3 ms  75.0 %  sweep policy/classifier.ts:10']);
  });
});
