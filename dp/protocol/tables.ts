// The tables of README.md, from the definitions that they document. Pure.
import { APPLICATION } from './applications.ts';
import { type Layout, offsets } from './layout.ts';
import { SEVERITY, THREAT } from './threats.ts';

const row = (...cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly string[]): string =>
  [row(...head), row(...head.map(() => '---')), ...rows].join('\n');

/** Where each field of a structure lies. */
export function layoutTable(of: Layout<Parameters<typeof offsets>[0]['fields']>): string {
  const rows = offsets(of).map(({ name, kind, offset, size, meaning }) =>
    row(offset, size, `\`${name}\``, kind, meaning),
  );
  return table(['offset', 'bytes', 'field', 'type', 'meaning'], rows);
}

export function applicationTable(): string {
  const rows = Object.entries(APPLICATION).map(([name, number]) => row(number, name));
  return table(['app', 'application'], rows);
}

export function threatTable(): string {
  const rows = Object.values(THREAT).map(({ id, name, severity, trigger }) =>
    row(id, name, `${severity} (${SEVERITY[severity]})`, trigger),
  );
  return table(['threat', 'name', 'severity', 'when'], rows);
}

/** A JSON schema, as far as the commands use it. */
type Schema = {
  readonly type?: string | readonly string[];
  readonly nullable?: boolean;
  readonly format?: string;
  readonly enum?: readonly number[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
};

/** Each member of a command, and of the objects in its lists: its name and its type. */
export function memberRows(schema: Schema, prefix = ''): { readonly member: string; readonly type: string }[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, of]) => {
    const path = `${prefix}${name}`;
    const optional = schema.required?.includes(name) ? '' : ', optional';
    const own = { member: path, type: `${typeText(of)}${optional}` };
    return [own, ...(of.items ? memberRows(of.items, `${path}[].`) : [])];
  });
}

const FORMATS: Readonly<Record<string, string>> = {
  ip: 'IPv4 or IPv6 address',
  mac: 'MAC address',
  'own-mac': 'MAC address of one interface',
  'fqdn-pattern': 'domain name, or `*.` before one',
};

function typeText({
  type,
  nullable,
  format,
  enum: values,
  minimum,
  maximum,
  minItems = 0,
  maxItems,
  maxLength,
  items,
}: Schema): string {
  const types = [type ?? []].flat();
  const orNull = types.includes('null') || nullable ? ' or null' : '';
  if (values) return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
  if (types.includes('integer')) return `${minimum} to ${maximum}`;
  if (types.includes('array'))
    return `list of ${maxItems === undefined ? '' : `${minItems} to ${maxItems} `}${itemsText(items ?? {})}${orNull}`;
  if (format) return FORMATS[format] ?? format;
  return maxLength === undefined ? types.join(' or ') : `1 to ${maxLength} characters`;
}

const itemsText = (items: Schema): string => (items.properties ? 'objects' : `(${typeText(items)})`);
