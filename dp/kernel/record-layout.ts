// Where the fields of a table's keys and values lie, as numbers and runs of bytes without any nesting. Pure.
import type { Field, Layout } from './btf.ts';

/** A number of up to 64 bits, or a run of bytes. `path` is as C would say it: sides[0].packets; empty for a bare number. */
export type Place = {
  readonly path: string;
  readonly kind: 'little' | 'big' | 'bytes';
  /** From the record's start, and of the place. */
  readonly bit: number;
  readonly bits: number;
};

export type RecordLayout = { readonly bytes: number; readonly places: readonly Place[] };

/** A field as `btf.ts` has it; `bits` where it is a bit field. */
type AnyField = Field & { readonly bits?: { readonly shift: number; readonly width: number } };
type Typed = Pick<Field, 'size' | 'type' | 'count'>;

const BYTE = 8;

/** The layout of a type of this number. */
export function recordLayout(btf: Layout, typeId: number): RecordLayout {
  const typed = btf.typed(typeId);
  return { bytes: typed.size, places: placesOf(btf, '', 0, typed).filter(({ path }) => !path.endsWith('reserved')) };
}

function placesOf(btf: Layout, path: string, bit: number, { size, type, count }: Typed): Place[] {
  if (type === 'u8' && count !== undefined) return [{ path, kind: 'bytes', bit, bits: size * BYTE }];
  if (count !== undefined) {
    const item = { size: size / count, type };
    return Array.from({ length: count }, (_, i) =>
      placesOf(btf, `${path}[${i}]`, bit + i * item.size * BYTE, item),
    ).flat();
  }
  const struct = btf.structs.get(type);
  if (!struct) return [{ path, kind: type.startsWith('be') ? 'big' : 'little', bit, bits: size * BYTE }];
  return struct.fields.flatMap((field: AnyField) => {
    const name = path === '' ? field.name : `${path}.${field.name}`;
    const start = bit + field.offset * BYTE;
    if (field.bits)
      return [{ path: name, kind: 'little' as const, bit: start + field.bits.shift, bits: field.bits.width }];
    return placesOf(btf, name, start, field);
  });
}
