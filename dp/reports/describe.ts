// A report as fields for the log. Pure.
import { unpackAddress } from '../protocol/address.ts';
import { applicationName } from '../protocol/applications.ts';
import type { Report } from '../protocol/reports.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';

const nameIn = (names: Readonly<Record<string, number>>, value: number): string =>
  Object.entries(names).find(([, number]) => number === value)?.[0] ?? String(value);

export function describe(report: Report): object {
  if (report.kind === 'connection') return { kind: report.kind, connections: report.connections.length };
  if (report.kind !== 'threatLog') return report;
  const { threat } = report;
  return {
    kind: report.kind,
    threat: threat.message,
    workload: threat.mac,
    action: nameIn(ACTION, threat.action),
    rule: threat.ruleId,
    source: unpackAddress(threat.etherType, threat.source),
    sourcePort: threat.sourcePort,
    destination: unpackAddress(threat.etherType, threat.destination),
    destinationPort: threat.destinationPort,
    protocol: nameIn(PROTOCOL, threat.ipProtocol),
    application: applicationName(threat.application),
    count: threat.count,
  };
}
