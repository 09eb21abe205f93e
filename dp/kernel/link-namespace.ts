// In which network namespace the other end of an interface is, as the kernel's programs must name it: asked by rtnetlink.
import { NETNS_CURRENT, NETNS_UNKNOWN } from './abi.gen.ts';
import { KernelError } from './libbpf.ts';
import { close, connect, MSG_NOSIGNAL, receiveNow, SOCK_RAW_CLOEXEC, sendto, socket } from './libc.ts';

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const NLMSG_ERROR = 2;
const IFLA_LINK = 5;
const IFLA_LINK_NETNSID = 37;
const EPROTO = 71;
const HEADER_BYTES = 16; // struct nlmsghdr
const LINK_BYTES = 16; // struct ifinfomsg
const ADDRESS_BYTES = 12; // struct sockaddr_nl
const ANSWER_BYTES = 64 * 1024;

/**
 * The id that dp's namespace knows the other end's by; the kernel gives it one with the question. NETNS_CURRENT where
 * both ends are in dp's own, NETNS_UNKNOWN for an interface that has no other end. Throws KernelError.
 */
export function namespaceBehind(ifindex: number): number {
  const attributes = attributesOf(ask(ifindex));
  const id = attributes.get(IFLA_LINK_NETNSID)?.getInt32(0, true);
  if (id !== undefined) return id < 0 ? NETNS_UNKNOWN : id;
  const other = attributes.get(IFLA_LINK)?.getInt32(0, true) ?? 0;
  return other === 0 || other === ifindex ? NETNS_UNKNOWN : NETNS_CURRENT;
}

/** The kernel answers within the send: nothing here waits. */
function ask(ifindex: number): Uint8Array {
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  try {
    const kernel = new Uint8Array(ADDRESS_BYTES);
    kernel[0] = AF_NETLINK;
    connect(fd, kernel, kernel.length);
    const request = new DataView(new ArrayBuffer(HEADER_BYTES + LINK_BYTES));
    request.setUint32(0, request.byteLength, true);
    request.setUint16(4, RTM_GETLINK, true);
    request.setUint16(6, NLM_F_REQUEST, true);
    request.setInt32(HEADER_BYTES + 4, ifindex, true);
    const bytes = new Uint8Array(request.buffer);
    sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, null, 0);
    const answer = new Uint8Array(ANSWER_BYTES);
    const received = receiveNow(fd, answer, new Uint8Array(ADDRESS_BYTES));
    return linkOf(answer.subarray(0, received?.bytes ?? 0));
  } finally {
    close(fd);
  }
}

/** The attributes of the one link that an answer is about. */
function linkOf(answer: Uint8Array): Uint8Array {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
  const type = answer.length < HEADER_BYTES + 4 ? undefined : view.getUint16(4, true);
  if (type === NLMSG_ERROR) throw new KernelError('RTM_GETLINK', view.getInt32(HEADER_BYTES, true));
  if (type !== RTM_NEWLINK) throw new KernelError('RTM_GETLINK', -EPROTO);
  return answer.subarray(HEADER_BYTES + LINK_BYTES, view.getUint32(0, true));
}

function attributesOf(bytes: Uint8Array): ReadonlyMap<number, DataView> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attributes = new Map<number, DataView>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) break;
    attributes.set(view.getUint16(at + 2, true), new DataView(bytes.buffer, bytes.byteOffset + at + 4, length - 4));
    at += (length + 3) & ~3;
  }
  return attributes;
}
