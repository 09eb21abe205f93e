// For tests: a client that looks names up by the C library's resolver, and connects at once to every address that it is told.
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';

/** `refused`: addresses that it could not connect to. */
export type FromLookups = { readonly addresses: number; readonly refused: readonly string[] };

const AT_ONCE = 8;
const TIMEOUT_MS = 1500;
const [port = '', ...names] = process.argv.slice(2);
const refused: string[] = [];
let addresses = 0;
let next = 0;

function tryAddress(host: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port: Number(port), timeout: TIMEOUT_MS });
  for (const [event, isOpen] of [
    ['connect', true],
    ['timeout', false],
    ['error', false],
  ] as const)
    socket.on(event, () => resolve(isOpen));
  return promise.finally(() => socket.destroy());
}

async function work(): Promise<void> {
  for (let name = names[next++]; name !== undefined; name = names[next++]) {
    const found = /^[\d.]+$|:/.test(name) ? [{ address: name }] : await lookup(name, { all: true });
    for (const { address } of found) {
      addresses += 1;
      if (!(await tryAddress(address))) refused.push(address);
    }
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
process.stdout.write(JSON.stringify({ addresses, refused } satisfies FromLookups));
