// The binary reports that dp sends: their layouts, and codecs over whole datagrams. All numbers are big endian.
import { decode, encode, type Field, type Layout, layout, type Value } from './layout.ts';

export const REPORT_KIND = {
  appUpdate: 1,
  threatLog: 2,
  connection: 3,
  fqdnUpdate: 4,
  ipFqdnStorageUpdate: 5,
  keepAlive: 6,
  policyRealized: 16,
  ruleHits: 17,
  error: 18,
} as const;

export const ERROR_CODE = {
  notJson: 1,
  unknownCommand: 2,
  invalidCommand: 3,
  tooLarge: 4,
  unknownMac: 5,
  batchOrder: 6,
  policyTooLarge: 7,
  notSupported: 8,
  interfaceFailed: 9,
  policyUnknown: 10,
  kernelFailed: 11,
  reportsLost: 12,
} as const;
export type ErrorCode = (typeof ERROR_CODE)[keyof typeof ERROR_CODE];

export const THREAT_FLAG = { toWorkload: 1, ingressConnection: 2, passed: 4 } as const;
export const CONNECTION_FLAG = { ingress: 1, violation: 2, closed: 4 } as const;

/** In front of every report: the reference's §6.2. */
export const header = layout([
  ['kind', 'u16', 'what the report is'],
  ['length', 'u16', 'bytes of the whole report, this header included'],
  ['more', 'u32', '1: the next datagram goes on with what this one began'],
  ['sequence', 'u32', 'counts the reports of this dp, from 1; in a keep-alive, the number that was asked with'],
]);

export const keepAlive = layout([['sequence', 'u32', 'the number that ctrl_keep_alive came with']]);

export const threatLog = layout([
  ['threatId', 'u32', 'a threat of the table in threats.ts'],
  ['reportedAt', 'u32', 'seconds since 1970'],
  ['count', 'u32', 'packets this report stands for'],
  ['action', 'u8', 'what was done: 1 open, 2 deny, 3 learn, 4 violate'],
  ['severity', 'u8', '1 info, 2 low, 3 medium, 4 high, 5 critical'],
  ['ipProtocol', 'u8', 'IP protocol number; 0 where there is none'],
  ['flags', 'u8', '1 the packet went to the workload, 2 the connection was opened towards it, 4 the packet passed'],
  ['mac', 'mac', 'the workload'],
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6; 0: the addresses mean nothing'],
  ['source', 'address', 'source address; IPv4 in the first 4 bytes'],
  ['destination', 'address', 'destination address; IPv4 in the first 4 bytes'],
  ['sourcePort', 'u16', 'TCP or UDP source port'],
  ['destinationPort', 'u16', 'TCP or UDP destination port'],
  ['icmpCode', 'u8', 'ICMP code'],
  ['icmpType', 'u8', 'ICMP type'],
  ['capturedBytes', 'u16', 'bytes of the packet that follow this structure, at most 64'],
  ['application', 'u32', 'application number; 0 unknown'],
  ['packetBytes', 'u32', 'length of the packet, from its Ethernet header'],
  ['ruleId', 'u32', 'the rule that decided; 0: the default action, or no rule at all'],
  ['revision', 'u32', 'epoch of the POLICY_REALIZED that the rule id belongs to'],
  ['message', 'text64', 'the threat in words, UTF-8, zero-filled'],
]);

export const connectionList = layout([
  ['count', 'u16', 'connections that follow'],
  ['reserved', 'u16', 'zero'],
]);

export const connection = layout([
  ['mac', 'mac', 'the workload'],
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6'],
  ['client', 'address', 'who opened it; IPv4 in the first 4 bytes'],
  ['server', 'address', 'whom it was opened to; IPv4 in the first 4 bytes'],
  ['clientPort', 'u16', 'TCP or UDP port'],
  ['serverPort', 'u16', 'TCP or UDP port'],
  ['ipProtocol', 'u8', 'IP protocol number'],
  ['flags', 'u8', '1 opened towards the workload, 2 violation, 4 closed'],
  ['action', 'u8', '1 open, 2 deny, 3 learn, 4 violate'],
  ['reserved', 'u8', 'zero'],
  ['application', 'u32', 'application number; 0 unknown'],
  ['ruleId', 'u32', 'the rule that decided; 0: the default action'],
  ['revision', 'u32', 'epoch of the POLICY_REALIZED that the rule id belongs to'],
  ['firstSeenAt', 'u32', 'seconds since 1970'],
  ['lastSeenAt', 'u32', 'seconds since 1970'],
  ['clientBytes', 'u64', 'bytes that the client sent, from the Ethernet header'],
  ['serverBytes', 'u64', 'bytes that the server sent'],
  ['clientPackets', 'u64', 'packets that the client sent'],
  ['serverPackets', 'u64', 'packets that the server sent'],
]);

export const appUpdateList = layout([
  ['mac', 'mac', 'the workload'],
  ['count', 'u16', 'ports that follow'],
]);

export const appUpdate = layout([
  ['port', 'u16', 'port that the workload listens on'],
  ['ipProtocol', 'u8', '6 TCP, 17 UDP'],
  ['reserved', 'u8', 'zero'],
  ['application', 'u32', 'application number'],
]);

export const fqdnUpdate = layout([
  ['name', 'name256', 'the domain name, zero-filled'],
  ['flags', 'u16', '1: vhost'],
  ['count', 'u16', 'addresses that follow, each as below'],
]);

export const fqdnAddress = layout([
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6'],
  ['reserved', 'u16', 'zero'],
  ['address', 'address', 'IPv4 in the first 4 bytes'],
  ['seconds', 'u32', 'how long it holds from now on'],
]);

export const ipFqdn = layout([
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6'],
  ['reserved', 'u16', 'zero'],
  ['address', 'address', 'IPv4 in the first 4 bytes'],
  ['name', 'name256', 'a domain name it was given for, zero-filled'],
]);

export const policyRealized = layout([
  ['mac', 'mac', 'the workload whose policy is now in force'],
  ['reserved', 'u16', 'zero'],
  ['epoch', 'u32', 'counts the changes of this workload’s policy; the packet after this report meets this one'],
  ['rules', 'u32', 'rules in force; 0 with no policy left, or with the default action alone'],
]);

export const ruleHitsList = layout([
  ['mac', 'mac', 'the workload'],
  ['count', 'u16', 'rules that follow'],
  ['revision', 'u32', 'epoch of the POLICY_REALIZED that the rule ids belong to'],
]);

export const ruleHits = layout([
  ['ruleId', 'u32', 'the rule; 0: the default action'],
  ['lastHitAt', 'u32', 'seconds since 1970'],
  ['hits', 'u64', 'connections it decided on since that policy came into force'],
]);

export const errorReport = layout([
  ['code', 'u16', 'what kind of error: ERROR_CODE'],
  ['command', 'u16', 'the command, by its place in commandSchemas from 1; 0: none'],
  ['mac', 'mac', 'the workload; zeros: none'],
  ['textBytes', 'u16', 'bytes of the message that follows, UTF-8'],
]);

export const MAX_REPORT_BYTES = 0xffff;
export const NO_MAC = '00:00:00:00:00:00';

type Of<L> = L extends Layout<infer Fields extends readonly Field[]> ? Value<Fields> : never;
export type Report =
  | { readonly kind: 'keepAlive'; readonly sequence: number }
  | { readonly kind: 'threatLog'; readonly threat: Of<typeof threatLog>; readonly packet: Uint8Array }
  | { readonly kind: 'connection'; readonly connections: readonly Of<typeof connection>[] }
  | { readonly kind: 'appUpdate'; readonly mac: string; readonly ports: readonly Of<typeof appUpdate>[] }
  | {
      readonly kind: 'fqdnUpdate';
      readonly name: string;
      readonly flags: number;
      readonly addresses: readonly Of<typeof fqdnAddress>[];
    }
  | { readonly kind: 'ipFqdnStorageUpdate'; readonly entry: Of<typeof ipFqdn> }
  | { readonly kind: 'policyRealized'; readonly realized: Of<typeof policyRealized> }
  | {
      readonly kind: 'ruleHits';
      readonly mac: string;
      readonly revision: number;
      readonly rules: readonly Of<typeof ruleHits>[];
    }
  | {
      readonly kind: 'error';
      readonly code: number;
      readonly command: number;
      readonly mac: string;
      readonly text: string;
    };

export type ThreatLog = Of<typeof threatLog>;
export type Connection = Of<typeof connection>;
export type RuleHits = Of<typeof ruleHits>;

/** A whole datagram. `sequence` is the header's; throws RangeError past MAX_REPORT_BYTES. */
export function encodeReport(report: Report, sequence: number, more = 0): Buffer {
  const body = encodeBody(report);
  const length = header.size + body.length;
  if (length > MAX_REPORT_BYTES) throw new RangeError(`a report of ${length} bytes: at most ${MAX_REPORT_BYTES} fit`);
  return Buffer.concat([encode(header, { kind: REPORT_KIND[report.kind], length, more, sequence }), body]);
}

function encodeBody(report: Report): Buffer {
  switch (report.kind) {
    case 'keepAlive':
      return encode(keepAlive, { sequence: report.sequence });
    case 'threatLog':
      return Buffer.concat([
        encode(threatLog, { ...report.threat, capturedBytes: report.packet.length }),
        report.packet,
      ]);
    case 'connection':
      return list(encode(connectionList, { count: report.connections.length }), connection, report.connections);
    case 'appUpdate':
      return list(encode(appUpdateList, { mac: report.mac, count: report.ports.length }), appUpdate, report.ports);
    case 'fqdnUpdate':
      return list(
        encode(fqdnUpdate, { name: report.name, flags: report.flags, count: report.addresses.length }),
        fqdnAddress,
        report.addresses,
      );
    case 'ipFqdnStorageUpdate':
      return encode(ipFqdn, report.entry);
    case 'policyRealized':
      return encode(policyRealized, report.realized);
    case 'ruleHits':
      return list(
        encode(ruleHitsList, { mac: report.mac, count: report.rules.length, revision: report.revision }),
        ruleHits,
        report.rules,
      );
    case 'error': {
      const room = Buffer.alloc(MAX_ERROR_TEXT_BYTES);
      const text = room.subarray(0, room.write(report.text)); // which writes no half of a character
      const { code, command, mac } = report;
      return Buffer.concat([encode(errorReport, { code, command, mac, textBytes: text.length }), text]);
    }
  }
}

const MAX_ERROR_TEXT_BYTES = 4096;

function list<Fields extends readonly Field[]>(
  head: Buffer,
  of: Layout<Fields>,
  values: readonly Value<Fields>[],
): Buffer {
  return Buffer.concat([head, ...values.map((value) => encode(of, value))]);
}

/** Kind by its number on the wire. */
const kindOf = new Map<number, Report['kind']>(
  Object.entries(REPORT_KIND).map(([kind, number]) => [number, kind as Report['kind']]), // the keys are the type's
);

export type Received = { readonly sequence: number; readonly more: number; readonly report: Report };

/** Reads a whole datagram; throws RangeError where it is cut short, or of a kind that is not known. */
export function decodeReport(datagram: Uint8Array): Received {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length);
  const { kind: number, length, more, sequence } = decode(header, bytes);
  const kind = kindOf.get(number);
  if (!kind) throw new RangeError(`no report is of kind ${number}`);
  // The reference's keep-alive gives the length of its body alone.
  const isReferenceKeepAlive = kind === 'keepAlive' && length === keepAlive.size;
  if (length !== bytes.length && !isReferenceKeepAlive)
    throw new RangeError(`the header speaks of ${length} bytes, the datagram has ${bytes.length}`);
  return { sequence, more, report: decodeBody(kind, bytes.subarray(header.size)) };
}

function decodeBody(kind: Report['kind'], body: Buffer): Report {
  switch (kind) {
    case 'keepAlive':
      return { kind, ...decode(keepAlive, body) };
    case 'threatLog': {
      const threat = decode(threatLog, body);
      return { kind, threat, packet: part(body, threatLog.size, threat.capturedBytes) };
    }
    case 'connection':
      return { kind, connections: items(connection, decode(connectionList, body).count, body, connectionList.size) };
    case 'appUpdate': {
      const { mac, count } = decode(appUpdateList, body);
      return { kind, mac, ports: items(appUpdate, count, body, appUpdateList.size) };
    }
    case 'fqdnUpdate': {
      const { name, flags, count } = decode(fqdnUpdate, body);
      return { kind, name, flags, addresses: items(fqdnAddress, count, body, fqdnUpdate.size) };
    }
    case 'ipFqdnStorageUpdate':
      return { kind, entry: decode(ipFqdn, body) };
    case 'policyRealized':
      return { kind, realized: decode(policyRealized, body) };
    case 'ruleHits': {
      const { mac, count, revision } = decode(ruleHitsList, body);
      return { kind, mac, revision, rules: items(ruleHits, count, body, ruleHitsList.size) };
    }
    case 'error': {
      const { code, command, mac, textBytes } = decode(errorReport, body);
      return { kind, code, command, mac, text: part(body, errorReport.size, textBytes).toString('utf8') };
    }
  }
}

function items<Fields extends readonly Field[]>(
  of: Layout<Fields>,
  count: number,
  body: Buffer,
  at: number,
): Value<Fields>[] {
  return Array.from({ length: count }, (_, i) => decode(of, body, at + i * of.size));
}

function part(body: Buffer, at: number, bytes: number): Buffer {
  if (body.length < at + bytes) throw new RangeError(`${body.length - at} bytes where ${bytes} are needed`);
  return body.subarray(at, at + bytes);
}
