// What a string of a resource may look like, and the words for what is allowed when it does not.
import { formats as protocolFormats } from '@podwall/dp/protocol/formats.ts';
import { parseAddress, parseCidr, parseEnds } from '../addresses/range.ts';

const MAX_PORT = 65_535;
const TRANSPORT = /^(tcp|udp)\/([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/;
/** RFC 6335 5.1; a letter is needed, so that a number is never taken for a name. */
const PORT_NAME = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;
/** They read like a protocol and would silently match nothing. */
const NEVER_A_NAME = ['tcp', 'udp', 'sctp'];

export type Port =
  | { readonly kind: 'any' | 'icmp' | 'icmpv6' }
  | { readonly kind: 'range'; readonly protocol: 'tcp' | 'udp'; readonly first: number; readonly last: number }
  | { readonly kind: 'named'; readonly name: string };

/** A range may be reversed as written. Undefined where the text is no port. */
export function parsePort(text: string): Port | undefined {
  if (text === 'any' || text === 'icmp' || text === 'icmpv6') return { kind: text };
  const [, protocol, first, last = first] = TRANSPORT.exec(text) ?? [];
  if (protocol === 'tcp' || protocol === 'udp') {
    const range = { kind: 'range', protocol, first: Number(first), last: Number(last) } as const;
    return range.first <= MAX_PORT && range.last <= MAX_PORT ? range : undefined;
  }
  return isPortName(text) && !NEVER_A_NAME.includes(text) ? { kind: 'named', name: text } : undefined;
}

export const isPortName = (text: string): boolean => PORT_NAME.test(text);

/** For ajv. */
export const formats = {
  ip: (text: string) => parseAddress(text) !== undefined,
  cidr: (text: string) => parseCidr(text) !== undefined,
  'ip-range': (text: string) => parseEnds(text) !== undefined,
  port: (text: string) => parsePort(text) !== undefined,
  'fqdn-pattern': protocolFormats['fqdn-pattern'],
} as const;

export const FORMAT_WORDS: Readonly<Record<string, string>> = {
  ip: 'an address: use 10.0.0.1 or 2001:db8::1',
  cidr: 'a network: use 10.0.0.0/8 or 2001:db8::/32',
  'ip-range': 'a range of addresses: use 10.0.0.1-10.0.0.9 or 2001:db8::1-2001:db8::9',
  port: "a port: use tcp/443, tcp/8000-8100, udp/53, icmp, icmpv6, any or a container port's name",
  'fqdn-pattern': 'a domain name: use api.example.com or *.example.com',
};
