// The books of the soak: what they call lost, passed and gone back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CounterBook, type Expectation, SequenceBook } from './books.ts';

describe('a book of a flow', () => {
  it('has nothing to say of what arrived and was answered', () => {
    const book = new SequenceBook();
    book.arrive(book.send('passes', 10), 12);
    book.answer(0);
    assert.deepEqual([book.missing(), book.unanswered()], [[], []]);
    assert.partialDeepStrictEqual(book.sums, { sent: 1, sentBytes: 10, arrived: 1, arrivedBytes: 12, answered: 1 });
  });
  it('misses what was to pass and did not arrive, at the end too', () => {
    const book = new SequenceBook();
    for (let i = 0; i < 4; i++) book.send('passes');
    for (const number of [0, 2]) book.arrive(number);
    assert.deepEqual(book.missing(), [1, 3]);
  });
  it('misses the answer to what arrived', () => {
    const book = new SequenceBook();
    book.arrive(book.send('passes'));
    assert.deepEqual(book.unanswered(), [0]);
  });
  it('counts what was to be dropped and arrived, and does not miss it where it did not', () => {
    const book = new SequenceBook();
    for (let i = 0; i < 3; i++) book.send('dropped');
    book.arrive(1);
    assert.deepEqual([book.missing(), book.sums.passed, book.sums.mustDrop], [[], 1, 3]);
  });
  it('counts what comes twice, or was never sent', () => {
    const book = new SequenceBook();
    book.arrive(book.send('passes'));
    book.arrive(0);
    book.arrive(7);
    book.answer(7);
    assert.equal(book.sums.strangers, 3);
  });
  for (const expectation of ['passes', 'dropped'] as const)
    it(`asks nothing of the last datagram on its way when its verdict turns: ${expectation}`, () => {
      const book = new SequenceBook();
      book.send(expectation);
      book.send(expectation);
      book.unsettle();
      book.unsettle();
      book.arrive(1);
      assert.deepEqual([book.missing(), book.sums.passed], [expectation === 'passes' ? [0] : [], 0]);
      assert.equal(book.sums.mustPass + book.sums.mustDrop, 1);
    });
  it('agrees with a plain count, whatever arrives', () => {
    const expectation = fc.constantFrom<Expectation>('passes', 'dropped', 'either');
    fc.assert(
      fc.property(fc.array(fc.tuple(expectation, fc.boolean())), (sent) => {
        const book = new SequenceBook();
        for (const [what] of sent) book.send(what);
        for (const [i, [, arrives]] of sent.entries()) if (arrives) book.arrive(i);
        const count = (what: Expectation, arrived: boolean) =>
          sent.filter(([one, arrives]) => one === what && arrives === arrived).length;
        assert.equal(book.missing().length, count('passes', false));
        assert.equal(book.sums.passed, count('dropped', true));
      }),
    );
  });
});

describe('a book of counters', () => {
  it('takes what grows or stays, each name for itself', () => {
    const book = new CounterBook();
    for (const [name, value] of [
      ['a', 1n],
      ['b', 5n],
      ['a', 1n],
      ['a', 3n],
      ['b', 5n],
    ] as const)
      book.take(name, value);
    assert.deepEqual(book.backwards, []);
    assert.deepEqual(
      [...book.entries()],
      [
        ['a', 3n],
        ['b', 5n],
      ],
    );
  });
  it('says what went back, from what to what', () => {
    const book = new CounterBook();
    for (const value of [4n, 6n, 2n, 3n]) book.take('hits', value);
    assert.deepEqual(book.backwards, ['hits: 6, then 2']);
  });
});
