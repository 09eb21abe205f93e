// The binary reports that dp sends: codecs over whole datagrams.
import { decode, encode, type Field, type Layout, type Value } from './layout.ts';
import {
  appUpdate,
  appUpdateList,
  connection,
  connectionList,
  errorReport,
  fqdnAddress,
  fqdnUpdate,
  header,
  ipFqdn,
  keepAlive,
  policyRealized,
  REPORT_KIND,
  ruleHits,
  ruleHitsList,
  threatLog,
} from './report-layouts.ts';

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
  queueFull: 13,
} as const;
export type ErrorCode = (typeof ERROR_CODE)[keyof typeof ERROR_CODE];

export const THREAT_FLAG = { toWorkload: 1, ingressConnection: 2, passed: 4, external: 8 } as const;
export const CONNECTION_FLAG = { ingress: 1, violation: 2, closed: 4, external: 8 } as const;

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
