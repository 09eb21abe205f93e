// A connection to be judged: what the kernel programs and the plain loop over the rules are both asked. Pure.
import type { IpOptions } from './packets.ts';
import type { FirstPayload } from './payloads.ts';

/** A connection, and what its sides say first, in that order. */
export type Trial = {
  readonly direction: 'egress' | 'ingress';
  readonly local: string;
  readonly peer: string;
  readonly protocol: number;
  readonly port: number;
  readonly says: readonly FirstPayload[];
  /** What all its packets carry besides: tags, IP options, extension headers. */
  readonly carries?: Pick<IpOptions, 'vlans' | 'options' | 'extensions'>;
};

export function describe({ says, ...trial }: Trial): string {
  return JSON.stringify({ ...trial, says: says.map(({ by, side, application }) => `${application} (${by}, ${side})`) });
}
