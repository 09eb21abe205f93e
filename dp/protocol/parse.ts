// Reads a command datagram: JSON, then the schema of each command in it. What is wrong is said, never thrown.
import { Ajv, type ErrorObject } from 'ajv';
import { tooMany } from '../limits.ts';
import { type Command, type CommandName, commandSchemas } from './commands.ts';
import { CommandError } from './errors.ts';
import { formats } from './formats.ts';
import { ERROR_CODE, type ErrorCode } from './reports.ts';

export type Parsed = { readonly command: Command } | { readonly error: CommandError };

const ajv = new Ajv({ allErrors: false, strict: true, strictTypes: false, verbose: true, formats });
const validators = new Map(Object.entries(commandSchemas).map(([name, schema]) => [name, ajv.compile(schema)]));
const SHOWN_CHARACTERS = 80;

/** The commands of one datagram in their order; a bad one does not keep the others from being read. */
export function parseCommands(datagram: Uint8Array): Parsed[] {
  let message: unknown;
  try {
    message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(datagram));
  } catch (error) {
    return refuse(ERROR_CODE.notJson, `not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    return refuse(ERROR_CODE.notJson, 'not a JSON object whose keys are commands');
  const entries = Object.entries(message);
  if (entries.length === 0) return refuse(ERROR_CODE.unknownCommand, 'no command in the message');
  return entries.map(([name, body]) => parseCommand(name, body));
}

const refuse = (code: ErrorCode, message: string): Parsed[] => [{ error: new CommandError(undefined, code, message) }];

function parseCommand(name: string, body: unknown): Parsed {
  const validate = validators.get(name);
  if (!validate) {
    const message = `unknown command ${shown(name)}; known are ${[...validators.keys()].join(', ')}`;
    return { error: new CommandError(undefined, ERROR_CODE.unknownCommand, message) };
  }
  const command = name as CommandName; // a key of the validators is a key of the schemas
  if (validate(body)) return { command: { name: command, body } as Command }; // the schema makes the type
  const [first] = validate.errors ?? [];
  return { error: new CommandError(command, ERROR_CODE.invalidCommand, first ? `${name}${explain(first)}` : name) };
}

/** One sentence: where, what is wrong, with which value, and what is allowed. */
function explain({ instancePath, keyword, params, message, data }: ErrorObject): string {
  const where = instancePath.replace(/\/(\d+)/g, '[$1]').replaceAll('/', '.');
  if (keyword === 'additionalProperties') return `${where}: unknown member ${shown(params.additionalProperty)}`;
  if (keyword === 'required') return `${where}: ${params.missingProperty} is missing`;
  if (keyword === 'enum') return `${where}: ${shown(data)} is not one of ${params.allowedValues.join(', ')}`;
  if (keyword === 'maxItems')
    return `${where}: ${tooMany('entries', Array.isArray(data) ? data.length : 0, params.limit)}`;
  if (keyword === 'format') return `${where}: ${shown(data)} is not ${FORMAT_NAMES[String(params.format)]}`;
  return `${where}: ${message ?? keyword}, not ${shown(data)}`;
}

const FORMAT_NAMES: Readonly<Record<string, string>> = {
  ip: 'an IPv4 or IPv6 address',
  mac: 'a MAC address such as aa:bb:cc:dd:ee:ff',
  'own-mac': 'the MAC address of one interface',
  'fqdn-pattern': 'a domain name such as api.example.com or *.example.com',
};

function shown(value: unknown): string {
  // Not what is in them: they may be nested deeper than can be written.
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
