// The ports of the peer that fault tests talk to.

export const PORT = {
  /** Echo; allowed. */
  tcp: 7000,
  /** Echo; allowed. */
  udp: 7001,
  /** Nothing may arrive there. */
  deniedUdp: 7002,
  /** Nothing may arrive there. */
  deniedTcp: 7003,
  /** Echo; the tests allow and deny it. */
  switchedUdp: 7004,
} as const;
