// The binary reports: exact bytes, round trips of every kind, and what is not a report.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Field, FieldKind, Layout, Value } from './layout.ts';
import {
  appUpdate,
  connection,
  fqdnAddress,
  header,
  ipFqdn,
  policyRealized,
  REPORT_KIND,
  ruleHits,
  threatLog,
} from './report-layouts.ts';
import { decodeReport, encodeReport, MAX_REPORT_BYTES, type Report } from './reports.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':'));
/** Any text of so many bytes at most that has no NUL and no half of a character. */
const text = (maxBytes: number) =>
  fc
    .string({ unit: 'grapheme', maxLength: maxBytes })
    .filter((value) => Buffer.byteLength(value) <= maxBytes && !value.includes('\0'));

const KINDS: Readonly<Record<FieldKind, fc.Arbitrary<unknown>>> = {
  u8: fc.integer({ min: 0, max: 0xff }),
  u16,
  u32,
  u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  mac,
  address: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  text64: text(63),
  name256: text(255),
};

const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) => fc.record(model, { noNullPrototype: true });

/** Any value of a layout; its reserved fields are left out. */
function anyValue<Fields extends readonly Field[]>({ fields }: Layout<Fields>): fc.Arbitrary<Value<Fields>> {
  const named = fields.filter(([name]) => name !== 'reserved').map(([name, kind]) => [name, KINDS[kind]] as const);
  return record(Object.fromEntries(named)) as fc.Arbitrary<Value<Fields>>; // each by its field's kind
}
const list = <Fields extends readonly Field[]>(of: Layout<Fields>) => fc.array(anyValue(of), { maxLength: 5 });

const reportsOfKind: { [Kind in Report['kind']]: fc.Arbitrary<Report & { kind: Kind }> } = {
  keepAlive: record({ kind: fc.constant('keepAlive'), sequence: u32 }),
  threatLog: fc
    .record({ threat: anyValue(threatLog), packet: fc.uint8Array({ maxLength: 64 }) })
    .map(({ threat, packet }) => ({
      kind: 'threatLog',
      threat: { ...threat, capturedBytes: packet.length },
      packet: Buffer.from(packet),
    })),
  connection: record({ kind: fc.constant('connection'), connections: list(connection) }),
  appUpdate: record({ kind: fc.constant('appUpdate'), mac, ports: list(appUpdate) }),
  fqdnUpdate: record({ kind: fc.constant('fqdnUpdate'), name: text(255), flags: u16, addresses: list(fqdnAddress) }),
  ipFqdnStorageUpdate: record({ kind: fc.constant('ipFqdnStorageUpdate'), entry: anyValue(ipFqdn) }),
  policyRealized: record({ kind: fc.constant('policyRealized'), realized: anyValue(policyRealized) }),
  ruleHits: record({ kind: fc.constant('ruleHits'), mac, revision: u32, rules: list(ruleHits) }),
  error: record({ kind: fc.constant('error'), code: u16, command: u16, mac, text: text(200) }),
};
const anyReport = fc.oneof(...Object.values(reportsOfKind));

describe('a report', () => {
  it('of keep-alive has exactly these bytes', () => {
    const bytes = encodeReport({ kind: 'keepAlive', sequence: 0x01020304 }, 0x01020304);
    assert.equal(bytes.toString('hex'), '00060010000000000102030401020304');
  });
  it('begins with kind, length, more and sequence, big endian', () => {
    const bytes = encodeReport(
      { kind: 'error', code: 3, command: 2, mac: '02:00:00:00:00:09', text: 'no' },
      0xaabbccdd,
      1,
    );
    assert.equal(header.size, 12);
    assert.equal(bytes.toString('hex'), `0012001a00000001aabbccdd${'00030002'}${'020000000009'}${'0002'}6e6f`);
  });
  for (const [kind, arbitrary] of Object.entries(reportsOfKind))
    it(`of ${kind} reads as it was written`, () => {
      fc.assert(
        fc.property(arbitrary as fc.Arbitrary<Report>, u32, fc.constantFrom(0, 1), (report, sequence, more) => {
          const bytes = encodeReport(report, sequence, more);
          assert.deepEqual(decodeReport(bytes), { sequence, more, report });
          assert.equal(bytes.readUInt16BE(0), REPORT_KIND[report.kind]);
          assert.equal(bytes.readUInt16BE(2), bytes.length);
        }),
      );
    });
  it('reads the same from the middle of a larger buffer', () => {
    const bytes = encodeReport({ kind: 'keepAlive', sequence: 7 }, 7);
    const larger = new Uint8Array(64);
    larger.set(bytes, 9);
    assert.deepEqual(decodeReport(larger.subarray(9, 9 + bytes.length)), decodeReport(bytes));
  });
  it('cuts a text that is too long where a character ends', () => {
    const long = encodeReport({ kind: 'fqdnUpdate', name: 'é'.repeat(200), flags: 0, addresses: [] }, 1);
    const { report } = decodeReport(long);
    assert.deepEqual(report, { kind: 'fqdnUpdate', name: 'é'.repeat(127), flags: 0, addresses: [] });
    const error = decodeReport(
      encodeReport({ kind: 'error', code: 1, command: 0, mac: '00:00:00:00:00:00', text: `a${'é'.repeat(5000)}` }, 1),
    );
    assert.ok(error.report.kind === 'error');
    assert.equal(error.report.text, `a${'é'.repeat(2047)}`);
  });
  it('is never longer than its header can say', () => {
    const rules = Array.from({ length: 5000 }, (_, ruleId) => ({ ruleId, lastHitAt: 0, hits: 0n }));
    const tooLong: Report = { kind: 'ruleHits', mac: '00:00:00:00:00:00', revision: 1, rules };
    assert.throws(() => encodeReport(tooLong, 1), new RegExp(`at most ${MAX_REPORT_BYTES}`));
  });
});

describe('reading', () => {
  const isRefused = (bytes: Uint8Array) => assert.throws(() => decodeReport(bytes), RangeError);
  /** The same, with the header's length made right again. */
  const relabelled = (bytes: Uint8Array): Buffer => {
    const copy = Buffer.from(bytes);
    if (copy.length >= 4) copy.writeUInt16BE(copy.length, 2);
    return copy;
  };

  it('takes a keep-alive that gives the length of its body alone, as the reference does', () => {
    const bytes = Buffer.from('00060004000000000000000700000007', 'hex');
    assert.deepEqual(decodeReport(bytes).report, { kind: 'keepAlive', sequence: 7 });
  });
  it('refuses such a length in any other report', () => {
    const bytes = encodeReport({ kind: 'error', code: 3, command: 2, mac: '02:00:00:00:00:09', text: 'no' }, 1);
    bytes.writeUInt16BE(bytes.length - header.size, 2);
    isRefused(bytes);
  });
  it('refuses a report that is cut short anywhere, whatever its header says', () => {
    fc.assert(
      fc.property(anyReport, fc.nat(), (report, at) => {
        const whole = encodeReport(report, 1);
        const cut = whole.subarray(0, at % whole.length);
        isRefused(cut);
        isRefused(relabelled(cut));
      }),
      { numRuns: 500 },
    );
  });
  it('refuses a kind that is not known', () => {
    isRefused(Buffer.from('00070010000000000000000700000007', 'hex'));
  });
  it('reads a report of which some bytes were changed, or throws RangeError and nothing else', (t) => {
    const change = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 127, 128, 255));
    const tally = { read: 0, refused: 0 };
    const property = fc.property(anyReport, fc.array(change, { minLength: 1, maxLength: 4 }), (report, changes) => {
      const bytes = encodeReport(report, 1);
      for (const [at, byte] of changes) bytes[4 + (at % (bytes.length - 4))] = byte; // behind kind and length
      try {
        decodeReport(bytes);
        tally.read += 1;
      } catch (error) {
        assert.ok(error instanceof RangeError && error.message, String(error));
        tally.refused += 1;
      }
    });
    fc.assert(property, { numRuns: 5000 });
    t.diagnostic(JSON.stringify(tally));
    assert.ok(tally.read > 0 && tally.refused > 0);
  });
  it('throws RangeError and nothing else, whatever the bytes', () => {
    const kind = fc.constantFrom(...Object.values(REPORT_KIND));
    const tamper = fc.tuple(kind, fc.uint8Array({ maxLength: 600 })).map(([number, body]) => {
      const bytes = Buffer.concat([Buffer.alloc(header.size), body]);
      bytes.writeUInt16BE(number);
      return relabelled(bytes);
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), tamper), (bytes) => {
        try {
          decodeReport(bytes);
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }),
      { numRuns: 5000 },
    );
  });
});
