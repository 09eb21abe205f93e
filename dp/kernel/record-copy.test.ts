// Records of one layout copied into another: by the names of their fields.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addRecord, numberAt, recordCopy } from './record-copy.ts';
import type { Place, RecordLayout } from './record-layout.ts';

type PlaceText = readonly [path: string, bit: number, bits: number, kind?: Place['kind']];

const record = (bytes: number, ...places: readonly PlaceText[]): RecordLayout => ({
  bytes,
  places: places.map(([path, bit, bits, kind = 'little']) => ({ path, kind, bit, bits })),
});

function copied(from: RecordLayout, to: RecordLayout, hex: string): { hex: string; isWhole: boolean } {
  const [source, target] = [Buffer.from(hex, 'hex'), Buffer.alloc(to.bytes)];
  const isWhole = recordCopy(from, to)(
    new DataView(source.buffer, source.byteOffset),
    0,
    new DataView(target.buffer, target.byteOffset),
    0,
  );
  return { hex: target.toString('hex'), isWhole };
}

describe('a record', () => {
  const before = record(8, ['a', 0, 16], ['b', 16, 16], ['c', 32, 32]);
  const cases: readonly [says: string, from: RecordLayout, to: RecordLayout, hex: string, result: string][] = [
    ['of the same layout is the same', before, before, '0102030405060708', '0102030405060708'],
    [
      'in another order has each field where it now is',
      before,
      record(8, ['c', 0, 32], ['a', 32, 16], ['b', 48, 16]),
      '0102030405060708',
      '0506070801020304',
    ],
    [
      'with a new field has zero there, and nothing of one that is gone',
      before,
      record(6, ['new', 0, 16], ['c', 16, 32]),
      '0102030405060708',
      '000005060708',
    ],
    [
      'with a wider number has the same number',
      before,
      record(8, ['a', 0, 64]),
      '0102030405060708',
      '0102000000000000',
    ],
    ['with a narrower number has it too', before, record(2, ['a', 0, 8], ['b', 8, 8]), '0100030005060708', '0103'],
    [
      'of bit fields has them as words, and the other way round',
      record(4, ['low', 0, 8], ['high', 8, 24]),
      record(8, ['high', 0, 32], ['low', 32, 32]),
      '01020304',
      '0203040001000000',
    ],
    [
      'of words has them as bit fields',
      record(8, ['high', 0, 32], ['low', 32, 32]),
      record(4, ['low', 0, 8], ['high', 8, 24]),
      '0203040001000000',
      '01020304',
    ],
    [
      'of 64 bits has a field of 40 bits within it',
      record(8, ['x', 0, 64]),
      record(8, ['y', 0, 4], ['x', 4, 40]),
      '2143000000000000',
      '1032040000000000',
    ],
    ['keeps a big-endian number', record(2, ['p', 0, 16, 'big']), record(4, ['p', 0, 32, 'big']), '1f90', '00001f90'],
    [
      'keeps bytes, the first of them',
      record(4, ['m', 0, 32, 'bytes']),
      record(2, ['m', 0, 16, 'bytes']),
      '01020304',
      '0102',
    ],
  ];
  for (const [says, from, to, hex, result] of cases)
    it(says, () => assert.deepEqual(copied(from, to, hex), { hex: result, isWhole: true }));

  it('with a number that no longer fits has the highest that does, and says so', () => {
    assert.deepEqual(copied(record(2, ['a', 0, 16]), record(1, ['a', 0, 8]), '0102'), { hex: 'ff', isWhole: false });
    assert.deepEqual(copied(record(8, ['a', 0, 64]), record(4, ['a', 0, 32]), '0000000001000000'), {
      hex: 'ffffffff',
      isWhole: false,
    });
  });
});

describe('a field', () => {
  it('is read by its name', () => {
    const layout = record(8, ['a', 4, 12], ['b', 16, 48]);
    const view = new DataView(Buffer.from('10320100000000ff', 'hex').buffer.slice(0));
    view.setUint32(0, 0x00013210, true);
    assert.equal(numberAt(layout, 'a')?.(view, 0), 0x321);
    assert.equal(numberAt(layout, 'nothing'), undefined);
  });
});

describe('a count', () => {
  it('is added to another, but for times', () => {
    const layout = record(24, ['hits', 0, 64], ['last_ns', 64, 64], ['unreported', 128, 64]);
    const [a, b] = [new DataView(new ArrayBuffer(24)), new DataView(new ArrayBuffer(24))];
    for (const [view, hits, last] of [
      [a, 3n, 50n],
      [b, 2n ** 40n, 20n],
    ] as const) {
      view.setBigUint64(0, hits, true);
      view.setBigUint64(8, last, true);
      view.setBigUint64(16, 1n, true);
    }
    addRecord(layout)(a, b);
    assert.deepEqual(
      [0, 8, 16].map((at) => b.getBigUint64(at, true)),
      [2n ** 40n + 3n, 50n, 2n],
    );
  });
});
