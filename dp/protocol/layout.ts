// Big-endian structures as tables of fields: the codec, the type and the documentation come from the same rows.

export type FieldKind = 'u8' | 'u16' | 'u32' | 'u64' | 'mac' | 'address' | 'text64' | 'name256';
export type Field = readonly [name: string, kind: FieldKind, meaning: string];

type Scalar = number | bigint | string | Uint8Array;
type ValueOf<Kind extends FieldKind> = Kind extends 'u64'
  ? bigint
  : Kind extends 'u8' | 'u16' | 'u32'
    ? number
    : Kind extends 'address'
      ? Uint8Array
      : string;
/** The value of a table; fields named `reserved` are zeros on the wire and left out here. */
export type Value<Fields extends readonly Field[]> = {
  readonly [F in Exclude<Fields[number], readonly ['reserved', ...unknown[]]> as F[0]]: ValueOf<F[1]>;
};

export type Layout<Fields extends readonly Field[]> = { readonly fields: Fields; readonly size: number };

const SIZES: Readonly<Record<FieldKind, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  mac: 6,
  address: 16,
  text64: 64,
  name256: 256,
};

export function layout<const Fields extends readonly Field[]>(fields: Fields): Layout<Fields> {
  return { fields, size: fields.reduce((size, [, kind]) => size + SIZES[kind], 0) };
}

/** Where each field lies. */
export function offsets({
  fields,
}: Layout<readonly Field[]>): { name: string; kind: FieldKind; offset: number; size: number; meaning: string }[] {
  let next = 0;
  return fields.map(([name, kind, meaning]) => {
    const offset = next;
    next += SIZES[kind];
    return { name, kind, offset, size: SIZES[kind], meaning };
  });
}

export function encode<Fields extends readonly Field[]>(of: Layout<Fields>, value: Value<Fields>): Buffer {
  const bytes = Buffer.alloc(of.size);
  const values: Readonly<Record<string, Scalar>> = value as never; // each by its field's kind
  for (const { name, kind, offset, size } of offsets(of))
    if (name !== 'reserved') put(bytes, offset, size, kind, values[name]);
  return bytes;
}

/** Throws RangeError where the bytes end before the structure does. */
export function decode<Fields extends readonly Field[]>(of: Layout<Fields>, bytes: Buffer, at = 0): Value<Fields> {
  if (bytes.length < at + of.size) throw new RangeError(`${bytes.length - at} bytes where ${of.size} are needed`);
  const read = offsets(of)
    .filter(({ name }) => name !== 'reserved')
    .map(({ name, kind, offset, size }) => [name, get(bytes.subarray(at + offset, at + offset + size), kind)] as const);
  return Object.fromEntries(read) as Value<Fields>; // each by its field's kind
}

function put(bytes: Buffer, at: number, size: number, kind: FieldKind, value: Scalar | undefined): void {
  if (value instanceof Uint8Array) bytes.set(value.subarray(0, size), at);
  else if (kind === 'u64') bytes.writeBigUInt64BE(BigInt(value ?? 0), at);
  else if (kind === 'u8' || kind === 'u16' || kind === 'u32') bytes.writeUIntBE(Number(value), at, size);
  else if (kind === 'mac') bytes.write(String(value).replaceAll(':', ''), at, 'hex');
  else bytes.write(String(value), at, size - 1, 'utf8');
}

function get(bytes: Buffer, kind: FieldKind): Scalar {
  if (kind === 'u64') return bytes.readBigUInt64BE();
  if (kind === 'u8' || kind === 'u16' || kind === 'u32') return bytes.readUIntBE(0, bytes.length);
  if (kind === 'mac') return bytes.toString('hex').replace(/..(?!$)/g, '$&:');
  if (kind === 'address') return Uint8Array.from(bytes);
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
