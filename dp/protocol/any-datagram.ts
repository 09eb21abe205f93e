// Datagrams that are commands, nearly commands, or nothing of the kind, for fast-check. Pure.
import fc from 'fast-check';
import { rule } from '../bpf/rules.ts';
import { COMMAND_NAMES, type CommandName } from './commands.ts';

/** Of nobody: what these datagrams change is no one's. */
const MAC = '02:00:00:ff:ff:01';
const IFACE = 'nothing0';
const NETNS = '/run/netns/nothing';
const FLAG = 3;

/** A body of each command that is right. */
export const GOOD_BODIES: { readonly [Name in CommandName]: object } = {
  ctrl_cfg_policy: { cmd: 1, flag: FLAG, defact: 2, dir: 3, mac: [MAC], rules: [rule()] },
  ctrl_add_mac: { iface: IFACE, mac: MAC, ucmac: '', bcmac: '', oldmac: '', pmac: '', pips: [{ ip: '10.0.0.5' }] },
  ctrl_del_mac: { iface: IFACE, mac: MAC },
  ctrl_cfg_mac: { macs: [MAC], tap: true, apps: [{ ip_proto: 6, port: 80, app: 100, server: 0 }] },
  ctrl_cfg_set_fqdn: { fqdn_name: 'api.example.com', vhost: false, fqdn_ips: ['192.0.2.1', '2001:db8::1'] },
  ctrl_cfg_del_fqdn: { names: ['api.example.com'] },
  ctrl_add_tap_port: { netns: NETNS, iface: IFACE, epmac: MAC },
  ctrl_add_nfq_port: { netns: NETNS, iface: IFACE, qnum: 0, epmac: MAC, jumboframe: false },
  ctrl_cfg_internal_net: { flag: FLAG, subnet_addr: [{ ip: '10.0.0.0', mask: '255.0.0.0' }] },
  ctrl_bld_dlp: { flag: FLAG, dir: 3, mac: [MAC], delmac: [], dlp_rules: [{ name: 'x', id: 1, patterns: ['x'] }] },
  ctrl_cfg_dlp: { flag: FLAG, mac: [MAC], dlp_rule_names: [{ id: 1, action: 2 }], waf_rule_names: [], rule_ids: [1] },
  ctrl_sys_conf: { xff_enabled: true },
  ctrl_keep_alive: { seq_num: 7 },
  ctrl_del_tap_port: { netns: NETNS, iface: IFACE },
  ctrl_del_nfq_port: { netns: NETNS, iface: IFACE, qnum: 0 },
};

const name = fc.constantFrom(...COMMAND_NAMES);
const fullRule = rule({ peer: 'fqdn:a.test', apps: { HTTP: 1 } });
const members = [...new Set(Object.values(GOOD_BODIES).concat(fullRule).flatMap(Object.keys))];
/** Values at the edges of what is allowed, and of other types. */
const value = fc.oneof(
  fc.constantFrom(
    -1,
    0,
    1,
    3,
    255,
    256,
    65_535,
    65_536,
    4_294_967_295,
    4_294_967_296,
    1e300,
    0.5,
    null,
    true,
    '',
    [],
    {},
  ),
  fc.constantFrom(
    '10.0.0.1',
    '10.0.0.256',
    '::',
    '1:2:3:4:5:6:1.2.3.4',
    '::1.2.3.4',
    'fe80::1%lo',
    MAC,
    '*.a.test',
    'x'.repeat(300),
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(...Object.values(GOOD_BODIES)),
);

/** A right body with one member that is changed, removed or added, also one of its first rule. */
const nearly = fc
  .record({
    command: name,
    member: fc.constantFrom(...members),
    value,
    isInRule: fc.boolean(),
    isRemoved: fc.boolean(),
  })
  .map(({ command, member, value: other, isInRule, isRemoved }) => {
    const change = isRemoved ? { [member]: undefined } : { [member]: other };
    const body = GOOD_BODIES[command];
    return {
      [command]:
        isInRule && command === 'ctrl_cfg_policy'
          ? { ...body, rules: [{ ...fullRule, ...change }] }
          : { ...body, ...change },
    };
  });
const wild = fc.dictionary(
  fc.oneof(name, fc.string()),
  fc.oneof(value, fc.dictionary(fc.constantFrom(...members), value, { maxKeys: 8 })),
  { maxKeys: 3 },
);
const asText = (message: object): Buffer => Buffer.from(JSON.stringify(message));

/** A right command's bytes with some of them changed, or cut off. */
const damaged = fc
  .record({
    command: name,
    changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    cut: fc.option(fc.nat()),
  })
  .map(({ command, changes, cut }) => {
    const bytes = asText({ [command]: GOOD_BODIES[command] });
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
  });

const nested = fc
  .record({ command: name, depth: fc.integer({ min: 1, max: 20_000 }), open: fc.constantFrom('[', '{"a":') })
  .map(({ command, depth, open }) => {
    const close = open === '[' ? ']' : '}';
    return Buffer.from(`{"${command}": ${open.repeat(depth)}1${close.repeat(depth)}}`);
  });

export const anyDatagram: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 500 }) },
  { weight: 2, arbitrary: fc.json().map((text) => Buffer.from(text)) },
  { weight: 8, arbitrary: nearly.map(asText) },
  { weight: 4, arbitrary: wild.map(asText) },
  { weight: 4, arbitrary: damaged },
  { weight: 1, arbitrary: nested },
);
