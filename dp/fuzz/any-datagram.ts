// Command datagrams that are right, nearly right, or nothing of the kind, from a seed, many a second. Pure.
import { pick, type Random, respelled, SETS } from '../bpf/rule-sets.ts';
import { GOOD_BODIES } from '../protocol/any-datagram.ts';
import { COMMAND_NAMES, type CommandName } from '../protocol/commands.ts';
import { parseCommands } from '../protocol/parse.ts';

/** Of workloads that are there for this alone; and of nobody. */
export const FUZZED_MACS = ['02:00:00:ff:ff:11', '02:00:00:ff:ff:12', '02:00:00:ff:ff:13'] as const;
const MACS = [...FUZZED_MACS, '02:00:00:ff:ff:01'] as const;
const HUGE_EVERY = 2000;
const HUGE_ELEMENTS = 20_000;
const HUGE_DEPTH = 20_000;

type Json = null | boolean | number | string | Json[] | { [member: string]: Json };

/** `errors`: of its commands, those that are wrong in themselves, whatever is in force. */
export type Datagram = { readonly bytes: Uint8Array; readonly errors: number };

/** Never one that by right turns off the node's policies. */
export function anyDatagram(r: Random): Datagram {
  for (;;) {
    const bytes = anyBytes(r);
    const parsed = parseCommands(bytes);
    const turnsOff = parsed.some(
      (one) => 'command' in one && one.command.name === 'ctrl_sys_conf' && one.command.body.disable_net_policy,
    );
    if (!turnsOff) return { bytes, errors: parsed.filter((one) => 'error' in one).length };
  }
}

function anyBytes(r: Random): Uint8Array {
  if (r(HUGE_EVERY) === 0) return huge(r);
  const text = JSON.stringify(anyMessage(r));
  switch (
    pick(r, [
      'as it is',
      'as it is',
      'as it is',
      'as it is',
      'damaged',
      'cut',
      'encoded',
      'respelled',
      'noise',
    ] as const)
  ) {
    case 'as it is':
      return Buffer.from(text);
    case 'damaged': {
      const bytes = Buffer.from(text);
      for (let changes = 1 + r(4); changes > 0; changes--) bytes[r(bytes.length)] = r(256);
      return bytes;
    }
    case 'cut':
      return Buffer.from(text).subarray(0, r(text.length));
    case 'encoded':
      return pick(r, ENCODINGS)(text);
    case 'respelled':
      return Buffer.from(pick(r, SPELLINGS)(text));
    default:
      return Buffer.from(Array.from({ length: r(600) }, () => r(256)));
  }
}

const ENCODINGS: readonly ((text: string) => Uint8Array)[] = [
  (text) => Buffer.from(text, 'utf16le'),
  (text) => Buffer.from(`\ufeff${text}`),
  (text) => Buffer.from(text.replace('e', '\u00e9'), 'latin1'),
  (text) => Buffer.concat([Buffer.from(text), Buffer.of(0)]),
  (text) => Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(text)]),
  (text) => Buffer.from(text.replace(/"(\w)/, '"\\u0000\\ud800$1')),
];

const SPELLINGS: readonly ((text: string) => string)[] = [
  (text) => `${text}${text}`,
  (text) => text.replace(/\d+/, '1e999'),
  (text) => text.replace(/\d+/, '9'.repeat(400)),
  (text) => text.replace(/\d+/, '-0'),
  (text) => text.replace(/\d+/, 'NaN'),
  (text) => text.replaceAll('"', "'"),
  (text) => text.replace(/}$/, ',}'),
  (text) => text.replace('{', '{/* */'),
  (text) => text.replace(/("\w+"):/, '$1:null,$1:'),
  (text) => text.replace(/"(\w+)":/, '"__proto__":'),
  (text) => `[${text}]`,
];

/** Near what a datagram may have. */
function huge(r: Random): Uint8Array {
  const name = pick(r, COMMAND_NAMES);
  const [open, close] = pick(r, [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const);
  const element = pick(r, ['0', '{}', '"x"', JSON.stringify(MACS[0])]);
  const member = pick(r, Object.keys(GOOD_BODIES[name]));
  const bodies = [
    `${open.repeat(HUGE_DEPTH)}1${close.repeat(HUGE_DEPTH)}`,
    `{"${member}":[${Array(pick(r, [1001, HUGE_ELEMENTS / 4])).fill(element)}]}`,
    `{"${member}":"${'x'.repeat(5 * HUGE_ELEMENTS)}"}`,
    `{${' '.repeat(5 * HUGE_ELEMENTS)}}`,
    `{${Array.from({ length: HUGE_ELEMENTS / 4 }, (_, i) => `"m${i}":${i}`)}}`,
  ];
  return Buffer.from(`{"${name}":${pick(r, bodies)}}`);
}

function anyMessage(r: Random): Json {
  const commands = Array.from({ length: r(5) === 0 ? 2 + r(3) : 1 }, () =>
    r(3) === 0 ? 'ctrl_cfg_policy' : pick(r, COMMAND_NAMES),
  );
  return Object.fromEntries(commands.map((name) => [r(40) === 0 ? `${name}_` : name, changed(bodyOf(name, r), r)]));
}

function bodyOf(name: CommandName, r: Random): Json {
  if (name === 'ctrl_cfg_policy' && r(4)) return policyBody(r);
  const body = structuredClone(GOOD_BODIES[name]) as { [member: string]: Json }; // they are all JSON
  if ('mac' in body) body.mac = Array.isArray(body.mac) ? [pick(r, MACS)] : pick(r, MACS);
  if ('macs' in body) body.macs = [pick(r, MACS), pick(r, MACS)];
  if (name === 'ctrl_keep_alive') body.seq_num = r(2 ** 32);
  return body;
}

/** Batches of several workloads' policies in any order: also with START and END missing, or twice. */
function policyBody(r: Random): Json {
  const rules = respelled(SETS.dense(r(6), r), r).map((rule) => ({ ...rule, id: 1 + r(60) }));
  const body = {
    cmd: 1 + r(3),
    flag: pick(r, [3, 3, 3, 2, 1, 0]),
    defact: pick(r, [2, 2, 1 + r(4)]),
    dir: 1 + r(3),
    mac: r(6) === 0 ? [...FUZZED_MACS] : [pick(r, MACS)],
    rules,
  };
  return JSON.parse(JSON.stringify(body));
}

/** With up to three of its values, anywhere in it, left out, replaced, doubled or added to. */
function changed(body: Json, r: Random): Json {
  let whole = body;
  for (let changes = pick(r, [0, 0, 1, 2, 3]); changes > 0; changes--) whole = changedOnce(whole, r);
  return whole;
}

function changedOnce(value: Json, r: Random): Json {
  if (typeof value !== 'object' || value === null) return pick(r, EXTREMES);
  const keys = Object.keys(value);
  const key = keys[r(keys.length + 1)];
  if (key === undefined)
    return Array.isArray(value) ? [...value, pick(r, EXTREMES)] : { ...value, [pick(r, MEMBERS)]: pick(r, EXTREMES) };
  const copy: { [member: string]: Json } & Json = structuredClone(value) as { [member: string]: Json };
  const inner = copy[key];
  const isDeeper = typeof inner === 'object' && inner !== null && r(3) > 0;
  if (isDeeper) copy[key] = changedOnce(inner, r);
  else if (r(4) === 0) delete copy[key];
  else if (r(6) === 0 && Array.isArray(inner)) copy[key] = [...inner, ...inner];
  else if (r(6) === 0) copy[key] = [inner ?? null];
  else copy[key] = pick(r, EXTREMES);
  return copy;
}

const MEMBERS = [
  ...new Set(Object.values(GOOD_BODIES).flatMap(Object.keys)),
  'id',
  'sip',
  'x',
  '__proto__',
  'constructor',
  '',
];
const EXTREMES: readonly Json[] = [
  ...[-1, 0, 1, 2, 3, 4, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, 2 ** 53, 1e300, 0.5, -0.0001],
  ...[null, true, false, [], {}, [[]], [null], ''],
  ...[
    '10.0.0.1',
    '10.0.0.256',
    '010.0.0.1',
    '::',
    '1:2:3:4:5:6:1.2.3.4',
    '::ffff:1.2.3.4',
    'fe80::1%lo',
    '*.a.test',
    '*',
    '.',
  ],
  ...[
    'ff:ff:ff:ff:ff:ff',
    '00:00:00:00:00:00',
    '02:00:00:ff:ff',
    'x'.repeat(300),
    '\u0000',
    '\ud800',
    '../../etc/passwd',
    'nothing0',
  ],
];
