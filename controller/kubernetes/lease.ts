// What to do about the Lease by which controllers agree on a leader: pure, from the Lease as seen to the one to write.
// Source: coordination.k8s.io/v1, used as client-go's leaderelection does: clocks of others are never compared.
import { fieldsOf } from '../api/fields.ts';

export type Lease = {
  readonly resourceVersion: string;
  /** Empty for a lease that was given up. */
  readonly holder: string;
  readonly durationMs: number;
  /** Of the holder's own clock, RFC 3339 with microseconds. */
  readonly acquiredAt: string;
  readonly renewedAt: string;
  /** How often it went from one holder to another. */
  readonly transitions: number;
};

/** A lease as it was when it was first seen so, by the clock of who looks. */
export type Sighting = { readonly lease: Lease; readonly sinceMs: number };

export function sight(lease: Lease, before: Sighting | undefined, nowMs: number): Sighting {
  const isSame = before?.lease.holder === lease.holder && before.lease.renewedAt === lease.renewedAt;
  return { lease, sinceMs: isSame ? before.sinceMs : nowMs };
}

/** Whether `me` may write its name into it: it is free, it is its own, or its holder let it run out under our eyes. */
export function isOpenTo(me: string, { lease, sinceMs }: Sighting, nowMs: number): boolean {
  return lease.holder === '' || lease.holder === me || nowMs - sinceMs > lease.durationMs;
}

export type Write = { readonly holder: string; readonly durationMs: number; readonly nowMs: number };

/** The `spec` to write in the place of `before`. */
export function nextSpec({ holder, durationMs, nowMs }: Write, before: Lease | undefined): object {
  const now = microTime(nowMs);
  const isKept = before?.holder === holder;
  return {
    holderIdentity: holder,
    leaseDurationSeconds: Math.ceil(durationMs / 1000),
    acquireTime: isKept ? before.acquiredAt : now,
    renewTime: now,
    leaseTransitions: (before?.transitions ?? 0) + (before && !isKept && holder !== '' ? 1 : 0),
  };
}

/** metav1.MicroTime. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

export function readLease(object: unknown): Lease {
  const { metadata, spec } = fieldsOf(object);
  const { resourceVersion } = fieldsOf(metadata);
  const { holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions } = fieldsOf(spec);
  return {
    resourceVersion: text(resourceVersion),
    holder: text(holderIdentity),
    durationMs: number(leaseDurationSeconds) * 1000,
    acquiredAt: text(acquireTime),
    renewedAt: text(renewTime),
    transitions: number(leaseTransitions),
  };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
