// What the soak may ask of a flow that is turned, given what dp has said.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Expectation } from './books.ts';
import { ProbeKnowledge, type Verdict } from './probe.ts';

type Step = Verdict | 'confirmed' | 'lost';

describe('a turned flow', () => {
  const cases: readonly [says: string, steps: readonly Step[], expectation: Expectation][] = [
    ['may do anything before dp has confirmed a policy', ['open'], 'either'],
    ['passes once dp has confirmed that', ['open', 'confirmed'], 'passes'],
    ['is dropped once dp has confirmed that', ['denied', 'confirmed'], 'dropped'],
    ['may do anything between command and confirmation', ['open', 'confirmed', 'denied'], 'either'],
    ['passes through a change that does not turn it', ['open', 'confirmed', 'open'], 'passes'],
    [
      'may do anything while the last of two turns is not confirmed',
      ['open', 'confirmed', 'denied', 'open', 'confirmed'],
      'either',
    ],
    ['stays as it is while dp is away', ['open', 'confirmed', 'lost'], 'passes'],
    ['may do anything once dp was lost in the middle of a turn', ['open', 'confirmed', 'denied', 'lost'], 'either'],
    [
      'is known again with the next confirmation',
      ['open', 'confirmed', 'denied', 'lost', 'denied', 'confirmed'],
      'dropped',
    ],
  ];
  for (const [says, steps, expectation] of cases)
    it(says, () => {
      const probe = new ProbeKnowledge();
      for (const step of steps)
        if (step === 'confirmed') probe.confirm();
        else if (step === 'lost') probe.lose();
        else probe.tell(step);
      assert.equal(probe.expectation, expectation);
    });
});
