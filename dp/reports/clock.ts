// From the kernel's monotonic clock to the time of day.

/** Seconds since 1970 of a time of the monotonic clock, in ns. */
export function unixSeconds(monotonicNs: bigint): number {
  const agoMs = Number(process.hrtime.bigint() - monotonicNs) / 1e6;
  return Math.floor((Date.now() - agoMs) / 1000);
}
