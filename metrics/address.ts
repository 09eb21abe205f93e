// Where metrics are served: what the option --metrics of every process may say. Pure.
import { isIP } from 'node:net';

export type MetricsAddress = { readonly address: string; readonly port: number };

export const METRICS_OPTION = 'a port, as 9470 (of this host alone), or an address and a port, as 10.0.0.1:9470';

const LOOPBACK = '127.0.0.1';
const MAX_PORT = 0xffff;

/** PORT, ADDRESS:PORT, or an IPv6 address with or without brackets before the port; undefined for anything else. */
export function parseMetricsAddress(text: string): MetricsAddress | undefined {
  const [, before, digits = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const address = before === undefined ? LOOPBACK : before.replace(/^\[(.+)\]$/, '$1');
  const port = Number(digits);
  return digits !== '' && port >= 1 && port <= MAX_PORT && isIP(address) !== 0 ? { address, port } : undefined;
}

/** As it stands in a URL. */
export const hostOf = ({ address, port }: MetricsAddress): string =>
  isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
