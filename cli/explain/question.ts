// A connection that is asked about: its two ends and its port, as people write them. Pure.
import { parseAddress } from '@podwall/controller/addresses/range.ts';
import type { Pod } from '@podwall/controller/api/resources.ts';
import { APPLICATION, APPLICATION_NAMES, UNKNOWN_APPLICATION } from '@podwall/dp/protocol/applications.ts';
import { formats } from '@podwall/dp/protocol/formats.ts';
import { hasPorts, PROTOCOL } from '@podwall/dp/protocol/values.ts';
import { type Cluster, podName } from './cluster.ts';
import { nearNames } from './near-names.ts';

const MAX_PORT = 0xffff;
const DEFAULT_NAMESPACE = 'default';
/** RFC 5737 and RFC 3849: of a name whose address is not known. */
const STAND_IN = { ipv4: '203.0.113.1', ipv6: '2001:db8:ffff::1' } as const;

/** What was asked can't be answered; the message says what to ask instead. */
export class QuestionError extends Error {
  readonly code = 'QUESTION';
  override readonly name = 'QuestionError';
}

export type Endpoint =
  | { readonly kind: 'pod'; readonly name: string; readonly pod: Pod }
  | { readonly kind: 'address'; readonly name: string }
  /** A domain name; `address` where one was given for it. */
  | { readonly kind: 'fqdn'; readonly name: string; readonly address: string | undefined };

export type ProtocolName = Exclude<keyof typeof PROTOCOL, 'any'>;

/** `port` is 0 where the protocol has none. */
export type Service = { readonly protocol: ProtocolName; readonly port: number };

export type Question = {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly service: Service;
  /** Of dp/protocol/applications.ts; undefined where it is open. */
  readonly application: number | undefined;
};

/** `ns/pod`, an address (of a pod: that pod), and to send to also a domain name or `name=address`. Throws QuestionError. */
export function readEndpoint(text: string, cluster: Cluster, side: 'from' | 'to'): Endpoint {
  const isAddress = !text.includes('/') && parseAddress(text) !== undefined;
  if (isAddress) {
    const pod = cluster.podWithAddress(text);
    return pod ? { kind: 'pod', name: podName(pod), pod } : { kind: 'address', name: text };
  }
  const pod = cluster.pods.get(text.includes('/') ? text : podName({ namespace: DEFAULT_NAMESPACE, name: text }));
  if (pod?.hasEnded) throw new QuestionError(`pod ${podName(pod)} has ended: nothing is sent from it or to it`);
  if (pod) return { kind: 'pod', name: podName(pod), pod };
  const [name = '', address] = text.split('=');
  if (!text.includes('/') && name.includes('.') && !name.includes('*') && formats['fqdn-pattern'](name)) {
    if (side === 'from')
      throw new QuestionError(`${name} is a domain name: who opens a connection is a pod or an address`);
    if (address !== undefined && !parseAddress(address)) throw new QuestionError(`${address} in ${text} is no address`);
    return { kind: 'fqdn', name: name.toLowerCase(), address };
  }
  throw new QuestionError(unknownPod(text, cluster));
}

function unknownPod(text: string, cluster: Cluster): string {
  const near = nearNames(text, cluster.pods.keys());
  const known =
    near.length > 0 ? `did you mean ${near.join(', ')}?` : `there are ${cluster.pods.size} pods, none like it`;
  return `${text || 'the empty text'} is no pod that is known, no address and no domain name: ${known}`;
}

/** `tcp/80`, `80` (TCP), `udp/dns` or `http` (a port’s name, of the pod that is sent to), `icmp`. Throws QuestionError. */
export function readService(text: string, to: Endpoint): Service {
  const [first = '', second, ...rest] = text.toLowerCase().split('/');
  const isProtocol = Object.hasOwn(PROTOCOL, first) && first !== 'any';
  const protocol = isProtocol ? (first as ProtocolName) : undefined; // just looked up
  const port = isProtocol ? second : first;
  if (rest.length > 0 || (!isProtocol && second !== undefined)) throw new QuestionError(portWords(text));
  if (protocol && !hasPorts(PROTOCOL[protocol])) {
    if (port !== undefined) throw new QuestionError(`${protocol} has no ports: ask for ${protocol} alone`);
    return { protocol, port: 0 };
  }
  if (port === undefined || port === '') throw new QuestionError(portWords(text));
  if (/^\d+$/.test(port)) {
    if (Number(port) < 1 || Number(port) > MAX_PORT)
      throw new QuestionError(`port ${port} is none: use 1 to ${MAX_PORT}`);
    return { protocol: protocol ?? 'tcp', port: Number(port) };
  }
  return namedService(port, protocol, to);
}

function namedService(name: string, protocol: ProtocolName | undefined, to: Endpoint): Service {
  const ports = to.kind === 'pod' ? to.pod.ports : {};
  const found = (ports[name] ?? []).find((port) => protocol === undefined || port.protocol === protocol);
  if (found) return found;
  const known = Object.entries(ports).flatMap(([key, all]) =>
    all.map((port) => `${key} (${port.protocol}/${port.port})`),
  );
  const words = known.length > 0 ? `its named ports are ${known.join(', ')}` : 'it has no named ports';
  throw new QuestionError(`${to.name} has no ${protocol ? `${protocol} ` : ''}port named ${name}: ${words}`);
}

const portWords = (text: string): string =>
  `${text || 'the empty text'} is no port: use tcp/80, udp/53, sctp/9, icmp, icmpv6, or a container port’s name`;

/** `unknown` is one that no rule speaks of. Throws QuestionError. */
export function readApplication(text: string): number {
  const name = APPLICATION_NAMES.find((known) => known.toLowerCase() === text.toLowerCase());
  if (name) return APPLICATION[name];
  if (text.toLowerCase() === 'unknown') return UNKNOWN_APPLICATION;
  throw new QuestionError(`${text} is no application: use ${APPLICATION_NAMES.join(', ')} or unknown`);
}

/** The addresses of a connection, of one family. Throws QuestionError where the ends have none in common. */
export function addressesOf({ from, to }: Pick<Question, 'from' | 'to'>): { from: string; to: string } {
  const [sources, destinations] = [addresses(from), addresses(to)];
  for (const destination of destinations)
    for (const source of sources)
      if (source.includes(':') === destination.includes(':')) return { from: source, to: destination };
  throw new QuestionError(
    `${from.name} (${sources.join(', ')}) and ${to.name} (${destinations.join(', ')}) have no address family in common`,
  );
}

function addresses(endpoint: Endpoint): readonly string[] {
  if (endpoint.kind === 'pod') return endpoint.pod.ips;
  if (endpoint.kind === 'address') return [endpoint.name];
  return endpoint.address === undefined ? Object.values(STAND_IN) : [endpoint.address];
}
