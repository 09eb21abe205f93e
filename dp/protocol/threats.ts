// The threats that dp reports: number, name and severity of each, one row a threat.

export const SEVERITY = { info: 1, low: 2, medium: 3, high: 4, critical: 5 } as const;
export type Severity = keyof typeof SEVERITY;

export type ThreatKind = {
  readonly id: number;
  readonly name: string;
  readonly severity: Severity;
  readonly trigger: string;
};

export const THREAT = {
  policyViolation: {
    id: 1,
    name: 'policy violation',
    severity: 'medium',
    trigger: 'a packet that a rule or the default action denies (or would deny: Monitor)',
  },
  spoofedMac: {
    id: 2,
    name: 'spoofed MAC address',
    severity: 'high',
    trigger: 'a packet from the workload’s interface with a source MAC that is not the workload’s',
  },
  invalidPacket: {
    id: 3,
    name: 'invalid packet',
    severity: 'low',
    trigger: 'headers that are cut short or contradict themselves',
  },
  unsupportedProtocol: {
    id: 4,
    name: 'unsupported protocol',
    severity: 'low',
    trigger: 'an Ethernet type other than IPv4, IPv6 and ARP, under a policy',
  },
  orphanFragment: {
    id: 5,
    name: 'orphan fragment',
    severity: 'low',
    trigger: 'a later fragment whose first one was not seen, under a policy',
  },
  strayIcmpError: {
    id: 6,
    name: 'stray ICMP error',
    severity: 'low',
    trigger: 'an ICMP error that quotes no connection of the workload, under a policy',
  },
  spoofedAddress: {
    id: 7,
    name: 'spoofed source address',
    severity: 'high',
    trigger: 'a connection that a workload opens from an address that ctrl_add_mac did not name as its own',
  },
} as const satisfies Readonly<Record<string, ThreatKind>>;

const byId = new Map<number, ThreatKind>(Object.values(THREAT).map((kind) => [kind.id, kind]));
export const threatOfId = (id: number): ThreatKind | undefined => byId.get(id);

const severityOf = new Map<number, Severity>(
  Object.entries(SEVERITY).map(([name, number]) => [number, name as Severity]), // the keys of a const object are its type's
);
export const severityName = (severity: number): Severity => severityOf.get(severity) ?? 'info';
