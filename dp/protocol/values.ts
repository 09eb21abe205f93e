// The numbers that commands carry: the reference's §5.1 to §5.5.

export const POLICY_COMMAND = { add: 1, del: 2, mod: 3 } as const;
/** Bits: a policy's first batch has START, its last END; a policy of one batch has both. */
export const BATCH_FLAG = { start: 1, end: 2 } as const;
export const ACTION = { open: 1, deny: 2, learn: 3, violate: 4 } as const;
export const DIRECTION = { ingress: 1, egress: 2, both: 3 } as const;
export const PROTOCOL = { any: 0, icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

/** Whether a protocol's packets have ports, so that a rule's count. */
export const hasPorts = (protocol: number): boolean =>
  protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.sctp;

/** Whether what speaks a protocol may be told apart by its application. */
export const carriesApplications = (protocol: number): boolean =>
  protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp;

/** The default batch of the reference. */
export const BATCH_RULES = 40;
/** Largest command that dp takes, in bytes. */
export const MAX_COMMAND_BYTES = 256 * 1024;

export type Action = (typeof ACTION)[keyof typeof ACTION];
export type Direction = (typeof DIRECTION)[keyof typeof DIRECTION];
export type PolicyCommand = (typeof POLICY_COMMAND)[keyof typeof POLICY_COMMAND];
