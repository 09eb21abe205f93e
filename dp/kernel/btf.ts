// Reads struct layouts out of the .BTF section of a compiled eBPF object (linux/btf.h), little endian.
// The C header stays the only place where the kernel/user contract is written.
import { readFileSync } from 'node:fs';

/** Part of a word: `shift` from its lowest bit, `width` in bits. */
export type Bits = { shift: number; width: number };
/**
 * `size` is that of the whole field, or of the word that a bit field lies in, in bytes; `count` is set for an array,
 * `bits` for a bit field; types are u8…u64, be16…, or a struct's name.
 */
export type Field = { name: string; offset: number; size: number; type: string; count?: number; bits?: Bits };
export type Struct = { name: string; size: number; fields: Field[] };
export type Layout = {
  structs: Map<string, Struct>;
  enums: Map<string, Record<string, number>>;
  tags: Map<string, string>;
  /** What a type of this number is: as a field would be of it. */
  typed(id: number): Pick<Field, 'size' | 'type' | 'count'>;
};
/** `at` is where the bytes after the 12-byte head lie. */
type Type = { kind: number; name: string; sizeOrType: number; vlen: number; hasBitFields: boolean; at: number };

const KIND = { int: 1, pointer: 2, array: 3, struct: 4, enum: 6, typedef: 8, declTag: 17 } as const;
/** Typedef, volatile, const, restrict, type tag: another name for a type. */
const ALIASES: readonly number[] = [8, 9, 10, 11, 18];
const MAGIC = 0xeb9f;

/** Bytes that follow the head of a type: fixed ones by kind, and ones for each of its members. */
const FIXED_TAIL: Readonly<Record<number, number>> = { 1: 4, 3: 12, 14: 4, 17: 4 };
const MEMBER_TAIL: Readonly<Record<number, number>> = { 4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12 };
const tailBytes = (kind: number, vlen: number): number => (FIXED_TAIL[kind] ?? 0) + (MEMBER_TAIL[kind] ?? 0) * vlen;

const text = (bytes: Buffer, at: number): string => bytes.toString('latin1', at, bytes.indexOf(0, at));

/** A section of a 64-bit ELF file, by name. */
function section(elf: Buffer, wanted: string): Buffer {
  const table = Number(elf.readBigUInt64LE(0x28));
  const entryBytes = elf.readUInt16LE(0x3a);
  const count = elf.readUInt16LE(0x3c);
  const contents = (index: number): Buffer => {
    const head = table + index * entryBytes;
    const at = Number(elf.readBigUInt64LE(head + 0x18));
    return elf.subarray(at, at + Number(elf.readBigUInt64LE(head + 0x20)));
  };
  const names = contents(elf.readUInt16LE(0x3e));
  for (let i = 0; i < count; i++)
    if (text(names, elf.readUInt32LE(table + i * entryBytes)) === wanted) return contents(i);
  throw new Error(`no ${wanted} section: was the object compiled with -g?`);
}

class Reader {
  readonly #btf: Buffer;
  readonly #strings: number;
  readonly types: Type[] = [{ kind: 0, name: 'void', sizeOrType: 0, vlen: 0, hasBitFields: false, at: 0 }];

  constructor(btf: Buffer) {
    if (btf.readUInt16LE(0) !== MAGIC) throw new Error('bad BTF magic');
    this.#btf = btf;
    const head = btf.readUInt32LE(4);
    const start = head + btf.readUInt32LE(8);
    const end = start + btf.readUInt32LE(12);
    this.#strings = head + btf.readUInt32LE(16);
    for (let at = start; at < end; ) {
      const info = btf.readUInt32LE(at + 4);
      const kind = (info >> 24) & 0x1f;
      const vlen = info & 0xffff;
      const hasBitFields = info >>> 31 === 1;
      const sizeOrType = btf.readUInt32LE(at + 8);
      this.types.push({ kind, name: this.#name(at), sizeOrType, vlen, hasBitFields, at: at + 12 });
      at += 12 + tailBytes(kind, vlen);
    }
  }

  type(id: number): Type {
    const type = this.types[id];
    if (!type) throw new Error(`BTF names type ${id}, which is not there`);
    return type;
  }

  fields({ at, vlen, hasBitFields }: Type): Field[] {
    return Array.from({ length: vlen }, (_, i) => {
      const member = at + 12 * i;
      const place = this.#btf.readUInt32LE(member + 8);
      const width = hasBitFields ? place >>> 24 : 0;
      const bit = hasBitFields ? place & 0xffffff : place;
      const named = { name: this.#name(member), ...this.sized(this.#btf.readUInt32LE(member + 4)) };
      if (width === 0) return { ...named, offset: bit / 8 };
      const shift = bit % (named.size * 8);
      return { ...named, offset: (bit - shift) / 8, bits: { shift, width } };
    });
  }

  values({ at, vlen }: Type): Record<string, number> {
    const entries = Array.from({ length: vlen }, (_, i) => [
      this.#name(at + 8 * i),
      this.#btf.readInt32LE(at + 8 * i + 4),
    ]);
    return Object.fromEntries(entries);
  }

  #name(at: number): string {
    return text(this.#btf, this.#strings + this.#btf.readUInt32LE(at));
  }

  #resolve(id: number): Type {
    const type = this.type(id);
    return ALIASES.includes(type.kind) ? this.#resolve(type.sizeOrType) : type;
  }

  /** The outermost typedef's name: __be16 tells big endian apart. */
  #typedef(id: number): string {
    const type = this.type(id);
    if (type.kind === KIND.typedef) return type.name;
    return ALIASES.includes(type.kind) ? this.#typedef(type.sizeOrType) : '';
  }

  sized(id: number): { size: number; type: string; count?: number } {
    const type = this.#resolve(id);
    if (type.kind === KIND.array) {
      const count = this.#btf.readUInt32LE(type.at + 8);
      const item = this.sized(this.#btf.readUInt32LE(type.at));
      return { size: item.size * count, type: item.type, count };
    }
    if (type.kind === KIND.pointer) return { size: 8, type: 'pointer' };
    if (type.kind !== KIND.int) return { size: type.sizeOrType, type: type.name };
    const prefix = this.#typedef(id).startsWith('__be') ? 'be' : 'u';
    return { size: type.sizeOrType, type: `${prefix}${type.sizeOrType * 8}` };
  }
}

/** Throws where the object has no BTF. */
export function layout(objectPath: string): Layout {
  const reader = new Reader(section(readFileSync(objectPath), '.BTF'));
  const named = reader.types.filter(({ name }) => name !== '');
  const structs = named.filter(({ kind }) => kind === KIND.struct);
  const enums = named.filter(({ kind }) => kind === KIND.enum);
  const tags = named.filter(({ kind }) => kind === KIND.declTag);
  return {
    structs: new Map(
      structs.map((type) => [type.name, { name: type.name, size: type.sizeOrType, fields: reader.fields(type) }]),
    ),
    enums: new Map(enums.map((type) => [type.name, reader.values(type)])),
    tags: new Map(tags.map((type) => [reader.type(type.sizeOrType).name, type.name])),
    typed: (id) => reader.sized(id),
  };
}
