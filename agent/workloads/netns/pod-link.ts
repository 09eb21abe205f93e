// Reads a pod's interface from outside: the kernel answers for another network namespace by its id, so none is entered.
// Needs CAP_NET_ADMIN and nothing else (no CAP_SYS_ADMIN: there is no setns).
import { closeSync, openSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  type Attribute,
  addressAttribute,
  decodeAttributes,
  flag,
  INFO_KIND,
  linkAttribute,
  namespaceAttribute,
  request,
} from './netlink.ts';
import { NetlinkError, RouteSocket } from './route-socket.ts';

/** A pod's interface and its other end in the node's namespace, where policy is attached. */
export type PodLink = {
  readonly mac: string;
  /** IPv4 and IPv6, link-local addresses too. */
  readonly ips: readonly string[];
  readonly hostInterface: { readonly name: string; readonly index: number };
};

export class PodLinkError extends Error {
  readonly code: 'NO_HOST_SIDE' | 'NOT_ETHERNET';

  constructor(code: PodLinkError['code'], message: string) {
    super(message);
    this.name = 'PodLinkError';
    this.code = code;
  }
}

/** How a namespace is named: by its file, or by a process in it, as the caller's pid namespace numbers it. */
export type NamespaceName = { readonly path: string } | { readonly pid: number };

const GENERIC = Buffer.alloc(4); // struct rtgenmsg, padded
const LINK = Buffer.alloc(16); // struct ifinfomsg
const UNASSIGNED = -1;

export class PodLinks implements Disposable {
  readonly #routes = new RouteSocket();

  /** Throws NetlinkError (ENODEV: no such interface yet), PodLinkError, or the file's error. */
  read(namespace: NamespaceName, name = 'eth0'): PodLink {
    const id = this.#namespaceId(namespace);
    const message = this.#link(id, name);
    const link = decodeAttributes(message.subarray(LINK.length));
    const address = link.get(linkAttribute.address);
    if (address?.length !== 6) {
      throw new PodLinkError('NOT_ETHERNET', `${name} has no MAC address: only Ethernet interfaces can be policed`);
    }
    const info = decodeAttributes(link.get(linkAttribute.info) ?? Buffer.alloc(0));
    const kind = info.get(INFO_KIND)?.toString('latin1').replace(/\0$/, '') ?? 'physical';
    const index = message.readUInt32LE(4);
    const peer = link.get(linkAttribute.peer)?.readUInt32LE(0);
    const hostSide = kind === 'veth' && peer ? this.#hostSide(peer, id, index) : undefined;
    if (!peer || !hostSide) {
      throw new PodLinkError(
        'NO_HOST_SIDE',
        `${name} is ${kind}: only a veth with its other end on the node can be policed`,
      );
    }
    const mac = address.toString('hex').replace(/..(?!$)/g, '$&:');
    return { mac, ips: this.#ips(id, index).toSorted(), hostInterface: { name: hostSide, index: peer } };
  }

  /** The id by which our namespace calls the other; the kernel has given one as soon as a veth led there. */
  #namespaceId(namespace: NamespaceName): number {
    const fd = 'path' in namespace ? openSync(namespace.path, 'r') : undefined;
    try {
      const other: Attribute =
        'pid' in namespace ? [namespaceAttribute.pid, namespace.pid] : [namespaceAttribute.fd, fd ?? 0];
      const known = this.#askNamespaceId(other);
      if (known !== UNASSIGNED) return known;
      this.#routes.ask('RTM_NEWNSID', request.newNamespaceId, flag.ack, GENERIC, [
        other,
        [namespaceAttribute.id, UNASSIGNED],
      ]);
      return this.#askNamespaceId(other);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #askNamespaceId(other: Attribute): number {
    const [reply] = this.#routes.ask('RTM_GETNSID', request.getNamespaceId, 0, GENERIC, [other]);
    return reply
      ? (decodeAttributes(reply.subarray(GENERIC.length)).get(namespaceAttribute.id)?.readInt32LE(0) ?? UNASSIGNED)
      : UNASSIGNED;
  }

  #link(namespaceId: number, name: string): Buffer {
    const [link] = this.#routes.ask('RTM_GETLINK', request.getLink, 0, LINK, [
      [linkAttribute.name, name],
      [linkAttribute.targetNamespace, namespaceId],
    ]);
    if (!link) throw new Error(`RTM_GETLINK: no answer for ${name}`);
    return link;
  }

  /**
   * The name of our interface of that index, if it leads back: the pod's view names its other end by an index without
   * saying in which namespace.
   */
  #hostSide(hostIndex: number, namespaceId: number, index: number): string | undefined {
    const byIndex = Buffer.alloc(LINK.length);
    byIndex.writeUInt32LE(hostIndex, 4);
    try {
      const [message] = this.#routes.ask('RTM_GETLINK', request.getLink, 0, byIndex, []);
      const link = decodeAttributes(message?.subarray(LINK.length) ?? Buffer.alloc(0));
      const leadsTo = link.get(linkAttribute.peerNamespace)?.readInt32LE(0);
      const isPeer = leadsTo === namespaceId && link.get(linkAttribute.peer)?.readUInt32LE(0) === index;
      return isPeer ? link.get(linkAttribute.name)?.toString('utf8').replace(/\0$/, '') : undefined;
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined;
      throw error;
    }
  }

  #ips(namespaceId: number, index: number): string[] {
    const ofInterface = Buffer.alloc(8); // struct ifaddrmsg
    ofInterface.writeUInt32LE(index, 4);
    return this.#routes
      .ask('RTM_GETADDR', request.getAddress, flag.dump, ofInterface, [[addressAttribute.targetNamespace, namespaceId]])
      .map((body) => decodeAttributes(body.subarray(ofInterface.length)))
      .map((attributes) => formatIp(attributes.get(addressAttribute.local) ?? attributes.get(addressAttribute.address)))
      .filter((ip) => isIP(ip) !== 0);
  }

  [Symbol.dispose](): void {
    this.#routes[Symbol.dispose]();
  }
}

function formatIp(bytes: Buffer | undefined): string {
  if (bytes?.length === 4) return [...bytes].join('.');
  if (bytes?.length !== 16) return '';
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
  return new URL(`http://[${words}]`).hostname.slice(1, -1); // the platform's own shortest form
}
