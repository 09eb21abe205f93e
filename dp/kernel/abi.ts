// Derives kernel/abi.gen.ts from the compiled kernel programs: `npm run build` runs it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type Bits, type Field, layout, type Struct } from './btf.ts';

const here = import.meta.dirname;
const objectPath = `${here}/../bpf/build/policy.bpf.o`;
const headerPath = `${here}/../bpf/include/abi.h`;
const outPath = `${here}/abi.gen.ts`;

const camel = (name: string): string => name.replace(/_(\w)/g, (_, c: string) => c.toUpperCase());
const pascal = (name: string): string => camel(`_${name}`);
const isScalar = (type: string): boolean => /^(u|be)(8|16|32|64)$/.test(type);
const isBytes = ({ type, count }: Field): boolean => type === 'u8' && count !== undefined;
const itemSize = ({ size, count }: Field): number => size / (count ?? 1);

function refuseHoles({ name, size, fields }: Struct): void {
  let end = 0; // in bits
  for (const { name: field, offset, size: bytes, bits } of fields) {
    if (offset * 8 + (bits?.shift ?? 0) !== end) throw new Error(`${name}: hole before ${field}`);
    end += bits?.width ?? bytes * 8;
  }
  if (end !== size * 8) throw new Error(`${name}: hole at the end`);
}

function tsType(field: Field): string {
  if (isBytes(field)) return 'Uint8Array';
  const item = field.type.endsWith('64') ? 'bigint' : isScalar(field.type) ? 'number' : pascal(field.type);
  return field.count === undefined ? item : `readonly ${item}[]`;
}

function accessor(type: string): [method: string, little: string] {
  const bits = type.replace(/\D/g, '');
  const method = bits === '64' ? 'BigUint64' : `Uint${bits}`;
  return [method, bits === '8' ? '' : `, ${!type.startsWith('be')}`];
}

function writeItem(type: string, at: string, value: string): string {
  if (!isScalar(type)) return `${camel(type)}.write(b, ${at}, ${value})`;
  const [method, little] = accessor(type);
  return `b.set${method}(${at}, ${value}${little})`;
}

function readItem(type: string, at: string): string {
  if (!isScalar(type)) return `${camel(type)}.read(b, ${at})`;
  const [method, little] = accessor(type);
  return `b.get${method}(${at}${little})`;
}

const maskOf = (width: number): string => `0x${(2 ** width - 1).toString(16)}`;

/** The rest of the word stays as it is. */
function writeBits({ type, offset }: Field, { shift, width }: Bits, value: string): string {
  const word = readItem(type, `at + ${offset}`);
  const mask = maskOf(width);
  return writeItem(type, `at + ${offset}`, `(${word} & ~(${mask} << ${shift})) | ((${value} & ${mask}) << ${shift})`);
}

function write(field: Field): string {
  const value = `v.${camel(field.name)}`;
  if (field.bits) return `${writeBits(field, field.bits, value)};`;
  if (isBytes(field)) return `bytes(b, at + ${field.offset}, ${field.size}).set(${value});`;
  if (field.count === undefined) return `${writeItem(field.type, `at + ${field.offset}`, value)};`;
  return `${value}.forEach((item, i) => ${writeItem(field.type, `at + ${field.offset} + i * ${itemSize(field)}`, 'item')});`;
}

function read(field: Field): string {
  const name = camel(field.name);
  const { bits } = field;
  if (bits)
    return `${name}: (${readItem(field.type, `at + ${field.offset}`)} >>> ${bits.shift}) & ${maskOf(bits.width)},`;
  if (isBytes(field)) return `${name}: bytes(b, at + ${field.offset}, ${field.size}).slice(),`;
  if (field.count === undefined) return `${name}: ${readItem(field.type, `at + ${field.offset}`)},`;
  const item = readItem(field.type, `at + ${field.offset} + i * ${itemSize(field)}`);
  return `${name}: Array.from({ length: ${field.count} }, (_, i) => ${item}),`;
}

function codec(struct: Struct): string {
  refuseHoles(struct);
  const fields = struct.fields.filter(({ name }) => name !== 'reserved');
  const line = (f: (field: Field) => string, indent: string) => fields.map((field) => indent + f(field)).join('\n');
  return `
export type ${pascal(struct.name)} = {
${line((f) => `readonly ${camel(f.name)}: ${tsType(f)};`, '  ')}
};

export const ${camel(struct.name)}: Codec<${pascal(struct.name)}> = {
  size: ${struct.size},
  offsets: { ${fields.map(({ name, offset }) => `${camel(name)}: ${offset}`).join(', ')} },
  write(b, at, v) {
${line(write, '    ')}
  },
  read: (b, at) => ({
${line(read, '    ')}
  }),
};
`;
}

function constants([name, values]: [string, Record<string, number>]): string {
  const line = ([key, value]: [string, number]) => `  ${camel(key.slice(name.length + 1).toLowerCase())}: ${value},`;
  return `\nexport const ${name} = {\n${Object.entries(values).map(line).join('\n')}\n} as const;\n`;
}

/** Sizes that abi.h gives as numbers, e.g. MAX_POLICIES. */
function numbers(header: string): string {
  return [...header.matchAll(/^#define ([A-Z_]+) (\d+)\b/gm)]
    .map(([, name, value]) => `export const ${name} = ${value};\n`)
    .join('');
}

const SHARED_ENUMS = ['action', 'direction', 'application', 'reason', 'counter', 'seen', 'family', 'tap'];
const { structs, enums, tags } = layout(objectPath);
const byName = new Map(enums);
const shared = [...structs.values()].filter(({ name }) => tags.get(name) === 'abi');
const generated = `// Derived from bpf/include/abi.h by \`npm run build\`. Do not edit.

/** Reads and writes one struct at a byte offset. */
export type Codec<T> = {
  readonly size: number;
  readonly offsets: { readonly [Field in keyof T]: number };
  write(b: DataView, at: number, v: T): void;
  read(b: DataView, at: number): T;
};

const bytes = (b: DataView, at: number, size: number): Uint8Array => new Uint8Array(b.buffer, b.byteOffset + at, size);

${numbers(readFileSync(headerPath, 'utf8'))}${SHARED_ENUMS.map((name) => constants([name, byName.get(name) ?? {}])).join('')}${shared.map(codec).join('')}`;
if (!existsSync(outPath) || readFileSync(outPath, 'utf8') !== generated) writeFileSync(outPath, generated);
