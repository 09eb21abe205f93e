// The commands of the reference's §6.1 as JSON schemas: the validator and the types come from these.
import type { FromSchema } from 'json-schema-to-ts';
import { APPLICATION_NUMBERS } from './applications.ts';

const u8 = { type: 'integer', minimum: 0, maximum: 0xff } as const;
const u16 = { type: 'integer', minimum: 0, maximum: 0xffff } as const;
const u32 = { type: 'integer', minimum: 0, maximum: 0xffffffff } as const;
const ip = { type: 'string', format: 'ip' } as const;
const mac = { type: 'string', format: 'mac' } as const;
const macs = { type: 'array', items: mac, minItems: 1, maxItems: 64 } as const;
const action = { type: 'integer', enum: [1, 2, 3, 4] } as const;
const fqdn = { type: 'string', format: 'fqdn-pattern' } as const;
const netns = { type: 'string', minLength: 1, maxLength: 255 } as const;
/** IFNAMSIZ, with its final NUL. */
const iface = { type: 'string', minLength: 1, maxLength: 15 } as const;

/** Go's encoder says null of a list that was never made; the type leaves that to the place where policies are put together. */
const orNull = <const Schema extends object>(schema: Schema): Schema => ({ ...schema, nullable: true });

const app = {
  type: 'object',
  additionalProperties: false,
  required: ['app', 'action', 'rid'],
  properties: { app: { type: 'integer', enum: APPLICATION_NUMBERS }, action, rid: u32 },
} as const;

const rule = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'sip', 'dip', 'port', 'proto', 'action', 'ingress'],
  properties: {
    id: { ...u32, minimum: 1, description: 'Lower wins; unique within a policy.' },
    sip: ip,
    dip: ip,
    sipr: { ...ip, description: 'Last address of the range; absent: sip alone.' },
    dipr: { ...ip, description: 'Last address of the range; absent: dip alone.' },
    port: { ...u16, description: 'First destination port.' },
    portr: { ...u16, description: 'Last destination port; absent or 0: port alone. 0 to 65535 is any.' },
    proto: { ...u8, description: '0 is any.' },
    action,
    ingress: { type: 'boolean' },
    fqdn: { ...fqdn, description: 'dip is then 0.0.0.0 or ::, and means any address that this name has.' },
    vhost: { type: 'boolean' },
    apps: {
      type: 'array',
      items: app,
      description: 'The rule matches only once one of these is identified, and takes that one’s action and rid.',
    },
  },
} as const;

const ctrl_cfg_policy = {
  type: 'object',
  additionalProperties: false,
  required: ['cmd', 'flag', 'defact', 'dir', 'mac'],
  properties: {
    cmd: { type: 'integer', enum: [1, 2, 3] },
    flag: { type: 'integer', enum: [0, 1, 2, 3] },
    defact: action,
    dir: { type: 'integer', enum: [1, 2, 3] },
    mac: macs,
    rules: orNull({ type: 'array', items: rule, maxItems: 1000 }),
  },
} as const;

const ctrl_add_mac = {
  type: 'object',
  additionalProperties: false,
  required: ['iface', 'mac'],
  properties: {
    iface: { ...iface, description: 'The host-side interface, in dp’s own network namespace.' },
    mac: { type: 'string', format: 'own-mac' },
    ucmac: { type: 'string' },
    bcmac: { type: 'string' },
    oldmac: { type: 'string' },
    pmac: { type: 'string' },
    pips: {
      type: ['array', 'null'],
      items: { type: 'object', additionalProperties: false, required: ['ip'], properties: { ip } },
      description:
        'The workload’s own addresses: from others of a family that is named here it may open no connection. Absent or empty: from any.',
    },
  },
} as const;

const ctrl_del_mac = {
  type: 'object',
  additionalProperties: false,
  required: ['iface', 'mac'],
  properties: { iface, mac },
} as const;

const ctrl_cfg_mac = {
  type: 'object',
  additionalProperties: false,
  required: ['macs'],
  properties: {
    macs,
    tap: { type: 'boolean', description: 'true: drop nothing of these workloads, only report what would be dropped.' },
    apps: {
      type: ['array', 'null'],
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['ip_proto', 'port', 'app'],
        properties: { ip_proto: u8, port: u16, app: u32, server: u32 },
      },
      description: 'Applications known to listen on the workloads’ ports.',
    },
  },
} as const;

const ctrl_cfg_set_fqdn = {
  type: 'object',
  additionalProperties: false,
  required: ['fqdn_name', 'fqdn_ips'],
  properties: {
    fqdn_name: fqdn,
    vhost: { type: 'boolean' },
    fqdn_ips: {
      type: ['array', 'null'],
      items: ip,
      maxItems: 4096,
      description: 'Every address of the name: others end.',
    },
  },
} as const;

const ctrl_cfg_del_fqdn = {
  type: 'object',
  additionalProperties: false,
  required: ['names'],
  properties: { names: { type: 'array', items: fqdn, minItems: 1 } },
} as const;

const port = {
  type: 'object',
  additionalProperties: false,
  required: ['netns', 'iface', 'epmac'],
  properties: {
    netns: { ...netns, description: 'Path of the network namespace: /run/netns/NAME, /proc/PID/ns/net.' },
    iface: { ...iface, description: 'Within that namespace.' },
    epmac: { type: 'string', format: 'own-mac' },
  },
} as const;

const portName = {
  type: 'object',
  additionalProperties: false,
  required: ['netns', 'iface'],
  properties: { netns, iface, epmac: mac },
} as const;

const subnet = {
  type: 'object',
  additionalProperties: false,
  required: ['ip', 'mask'],
  properties: { ip, mask: ip },
} as const;

const dlpSetting = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'action'],
  properties: { id: u32, action: u8 },
} as const;

/** By JSON key; the order is the number that ERROR reports call a command by, from 1. */
export const commandSchemas = {
  ctrl_cfg_policy,
  ctrl_add_mac,
  ctrl_del_mac,
  ctrl_cfg_mac,
  ctrl_cfg_set_fqdn,
  ctrl_cfg_del_fqdn,
  ctrl_add_tap_port: port,
  ctrl_add_nfq_port: {
    ...port,
    required: [...port.required, 'qnum'],
    properties: { ...port.properties, qnum: u16, jumboframe: { type: 'boolean' } },
  },
  ctrl_cfg_internal_net: {
    type: 'object',
    additionalProperties: false,
    required: ['flag', 'subnet_addr'],
    properties: {
      flag: { type: 'integer', enum: [0, 1, 2, 3] },
      subnet_addr: { type: ['array', 'null'], items: subnet },
    },
  },
  ctrl_bld_dlp: {
    type: 'object',
    additionalProperties: false,
    required: ['flag', 'mac'],
    properties: {
      flag: { type: 'integer', enum: [0, 1, 2, 3] },
      dir: { type: 'integer', enum: [1, 2, 3] },
      mac: { type: ['array', 'null'], items: mac },
      delmac: { type: ['array', 'null'], items: mac },
      dlp_rules: {
        type: ['array', 'null'],
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['name', 'id', 'patterns'],
          properties: { name: { type: 'string' }, id: u32, patterns: { type: 'array', items: { type: 'string' } } },
        },
      },
    },
  },
  ctrl_cfg_dlp: {
    type: 'object',
    additionalProperties: false,
    required: ['flag', 'mac'],
    properties: {
      flag: { type: 'integer', enum: [0, 1, 2, 3] },
      mac: macs,
      dlp_rule_names: { type: ['array', 'null'], items: dlpSetting },
      waf_rule_names: { type: ['array', 'null'], items: dlpSetting },
      rule_ids: { type: ['array', 'null'], items: u32 },
      waf_rule_ids: { type: ['array', 'null'], items: u32 },
      ruletype: { type: 'string' },
      wafruletype: { type: 'string' },
    },
  },
  ctrl_sys_conf: {
    type: 'object',
    additionalProperties: false,
    properties: {
      xff_enabled: { type: 'boolean' },
      disable_net_policy: {
        type: 'boolean',
        description: 'true: drop nothing of any workload, only report what would be dropped.',
      },
      resolvers: {
        type: ['array', 'null'],
        items: ip,
        maxItems: 64,
        description: 'DNS servers whose answers to workloads teach the addresses of names.',
      },
    },
  },
  ctrl_keep_alive: {
    type: 'object',
    additionalProperties: false,
    required: ['seq_num'],
    properties: { seq_num: u32 },
  },
  ctrl_del_tap_port: portName,
  ctrl_del_nfq_port: { ...portName, properties: { ...portName.properties, qnum: u16 } },
} as const;

export type CommandName = keyof typeof commandSchemas;
export const COMMAND_NAMES = Object.keys(commandSchemas) as CommandName[]; // the keys of a const object are its type's

export type Command = {
  [Name in CommandName]: { name: Name; body: FromSchema<(typeof commandSchemas)[Name]> };
}[CommandName];
export type CommandBody<Name extends CommandName> = Extract<Command, { name: Name }>['body'];
export type PolicyConfig = CommandBody<'ctrl_cfg_policy'>;
export type PolicyRule = FromSchema<typeof rule>;

/** What an agent computes for one workload: the reference's §4.1, before it is cut into batches. */
export type DPWorkloadIPPolicy = {
  readonly wl_id: string;
  readonly mode: 'discover' | 'monitor' | 'protect';
  readonly defact: PolicyConfig['defact'];
  readonly apply_dir: PolicyConfig['dir'];
  readonly mac: readonly string[];
  readonly policy_rules: readonly PolicyRule[];
};

/** The number by which an ERROR report names a command. */
export const commandNumber = (name: CommandName): number => COMMAND_NAMES.indexOf(name) + 1;
export const commandOfNumber = (number: number): CommandName | undefined => COMMAND_NAMES[number - 1];
