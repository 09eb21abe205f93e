// String formats of the protocol and of the resources, for ajv: addresses, MACs, domain names.
import { isIP } from 'node:net';

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i;
/** RFC 1035 2.3.4: 255 bytes on the wire leave 253 characters. */
const MAX_NAME_CHARACTERS = 253;

/** Of one interface: not a group's, and not of zeros. */
export const isOwnMac = (text: string): boolean =>
  isMac(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0 && /[1-9a-f]/i.test(text);

export const isMac = (text: string): boolean => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text);

/** An address without a zone. */
export const isAddress = (text: string): boolean => isIP(text) !== 0 && !text.includes('%');

/** A domain name in ASCII (A-labels), with or without its final dot. */
export function isFqdn(text: string): boolean {
  const name = text.replace(/\.$/, '');
  return name.length <= MAX_NAME_CHARACTERS && name.split('.').every((label) => LABEL.test(label));
}

/** A domain name, or `*.` before one. */
export const isFqdnPattern = (text: string): boolean => isFqdn(text.replace(/^\*\./, ''));

export const formats = { ip: isAddress, mac: isMac, 'own-mac': isOwnMac, 'fqdn-pattern': isFqdnPattern } as const;
