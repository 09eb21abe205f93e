// Reads struct layouts out of the .BTF section of a compiled eBPF object.
// The C header stays the only place where the kernel/user contract is written.
import { readFileSync } from 'node:fs';

/** `size` is that of the whole field, in bytes; `count` is set for an array; types are u8…u64, be16…, or a struct's name. */
export type Field = { name: string; offset: number; size: number; type: string; count?: number };
export type Struct = { name: string; size: number; fields: Field[] };
export type Layout = {
  structs: Map<string, Struct>;
  enums: Map<string, Record<string, number>>;
  tags: Map<string, string>;
};
type Type = { kind: number; name: string; sizeOrType: number; vlen: number; at: number };

const KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  DECL_TAG: 17,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;
const ALIAS: readonly number[] = [KIND.TYPEDEF, KIND.VOLATILE, KIND.CONST, KIND.RESTRICT, KIND.TYPE_TAG];
/** Bytes that follow the 12-byte head of a type, by kind. */
const tail = (kind: number, vlen: number): number =>
  ({ 1: 4, 3: 12, 4: 12 * vlen, 5: 12 * vlen, 6: 8 * vlen, 13: 8 * vlen, 14: 4, 15: 12 * vlen, 17: 4, 19: 12 * vlen })[
    kind
  ] ?? 0;

export function section(elf: Buffer, wanted: string): Buffer {
  const table = Number(elf.readBigUInt64LE(0x28)),
    entry = elf.readUInt16LE(0x3a),
    count = elf.readUInt16LE(0x3c),
    names = elf.readUInt16LE(0x3e);
  const span = (i: number) => {
    const h = table + i * entry;
    const o = Number(elf.readBigUInt64LE(h + 0x18));
    return elf.subarray(o, o + Number(elf.readBigUInt64LE(h + 0x20)));
  };
  const strings = span(names);
  for (let i = 0; i < count; i++) if (cstr(strings, elf.readUInt32LE(table + i * entry)) === wanted) return span(i);
  throw new Error(`no ${wanted} section: was the object compiled with -g?`);
}

const cstr = (b: Buffer, at: number): string => b.toString('latin1', at, b.indexOf(0, at));

export function layout(objectPath: string): Layout {
  const btf = section(readFileSync(objectPath), '.BTF');
  if (btf.readUInt16LE(0) !== 0xeb9f) throw new Error('bad BTF magic');
  const head = btf.readUInt32LE(4),
    typeAt = head + btf.readUInt32LE(8),
    typeEnd = typeAt + btf.readUInt32LE(12),
    strAt = head + btf.readUInt32LE(16);
  const types: Type[] = [{ kind: 0, name: 'void', sizeOrType: 0, vlen: 0, at: 0 }];
  for (let at = typeAt; at < typeEnd; ) {
    const info = btf.readUInt32LE(at + 4),
      kind = (info >> 24) & 0x1f,
      vlen = info & 0xffff;
    types.push({
      kind,
      name: cstr(btf, strAt + btf.readUInt32LE(at)),
      sizeOrType: btf.readUInt32LE(at + 8),
      vlen,
      at: at + 12,
    });
    at += 12 + tail(kind, vlen);
  }
  const resolve = (id: number): Type => {
    let t = types[id]!;
    while (ALIAS.includes(t.kind)) t = types[t.sizeOrType]!;
    return t;
  };
  const alias = (id: number): string => {
    for (let t = types[id]!; ALIAS.includes(t.kind); t = types[t.sizeOrType]!)
      if (t.kind === KIND.TYPEDEF) return t.name;
    return '';
  };
  const sized = (id: number): { size: number; type: string; count?: number } => {
    const t = resolve(id);
    if (t.kind === KIND.ARRAY) {
      const n = btf.readUInt32LE(t.at + 8),
        of = sized(btf.readUInt32LE(t.at));
      return { size: of.size * n, type: of.type, count: n };
    }
    if (t.kind === KIND.PTR) return { size: 8, type: 'ptr' };
    if (t.kind === KIND.INT)
      return {
        size: t.sizeOrType,
        type:
          (alias(id).startsWith('__be') ? 'be' : (btf.readUInt32LE(t.at) >>> 24) & 1 ? 's' : 'u') + t.sizeOrType * 8,
      };
    return { size: t.sizeOrType, type: t.name };
  };
  const out = new Map<string, Struct>(),
    enums: Layout['enums'] = new Map(),
    tags: Layout['tags'] = new Map();
  for (const t of types) {
    if (t.kind === KIND.DECL_TAG) tags.set(types[t.sizeOrType]?.name, t.name);
    if (t.kind === KIND.ENUM && t.name)
      enums.set(
        t.name,
        Object.fromEntries(
          Array.from({ length: t.vlen }, (_, i) => [
            cstr(btf, strAt + btf.readUInt32LE(t.at + 8 * i)),
            btf.readInt32LE(t.at + 8 * i + 4),
          ]),
        ),
      );
    if (t.kind !== KIND.STRUCT || !t.name) continue;
    const fields: Field[] = [];
    for (let i = 0; i < t.vlen; i++) {
      const m = t.at + 12 * i,
        bit = btf.readUInt32LE(m + 8) & 0xffffff;
      fields.push({
        name: cstr(btf, strAt + btf.readUInt32LE(m)),
        offset: bit / 8,
        ...sized(btf.readUInt32LE(m + 4)),
      });
    }
    out.set(t.name, { name: t.name, size: t.sizeOrType, fields });
  }
  return { structs: out, enums, tags };
}
