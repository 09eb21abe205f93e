// What real clients and servers send first, for tests; some written after the protocols’ texts, and so named.
import { application } from '../kernel/abi.gen.ts';
import type { ApplicationName } from '../protocol/applications.ts';
import type { Side } from './connection.ts';
import payloads from './first-payloads.json' with { type: 'json' };

export type FirstPayload = {
  readonly application: ApplicationName | 'unknown';
  readonly side: Side;
  readonly by: string;
  readonly bytes: Buffer;
};

export const FIRST_PAYLOADS: readonly FirstPayload[] = payloads.map(({ hex, ...payload }) => ({
  ...(payload as Pick<FirstPayload, 'application' | 'side' | 'by'>), // the file is ours
  bytes: Buffer.from(hex, 'hex'),
}));

/** One first payload of this application, from this side. */
export function firstPayload(name: FirstPayload['application'], side: Side = 'client'): Buffer {
  const found = FIRST_PAYLOADS.find((payload) => payload.application === name && payload.side === side);
  if (!found) throw new Error(`no first payload of ${name} from the ${side}`);
  return found.bytes;
}

/** The kernel’s code for an application. */
export const codeOf = (name: FirstPayload['application']): number =>
  application[name.toLowerCase() as keyof typeof application]; // named alike, but for case
