// The few C library calls that Node has no equal of: sockets of datagrams, mmap, mount, interface indexes.
import koffi from 'koffi';
import { KernelError } from './libbpf.ts';

const lib = koffi.load('libc.so.6');

/** Turns -1 into a KernelError with errno's name. */
function checked(signature: string): (...args: unknown[]) => number {
  const call = lib.func(signature);
  return (...args) => {
    const result = Number(call(...args));
    if (result < 0) throw new KernelError(call.info.name, -koffi.errno());
    return result;
  };
}

export const AF_UNIX = 1;
export const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
export const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
const SHUT_RDWR = 2;
const LOCK_EX_NB = 2 | 4;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

export const socket = checked('int socket(int domain, int type, int protocol)');
export const bind = checked('int bind(int fd, const void *address, uint32_t length)');
export const connect = checked('int connect(int fd, const void *address, uint32_t length)');
export const sendto = checked(
  'intptr_t sendto(int fd, const void *bytes, size_t length, int flags, const void *address, uint32_t addressLength)',
);
const recvfromCall = lib.func(
  'intptr_t recvfrom(int fd, void *bytes, size_t length, int flags, void *address, _Inout_ uint32_t *addressLength)',
);
export const close = checked('int close(int fd)');
const shutdownCall = checked('int shutdown(int fd, int how)');
const flockCall = checked('int flock(int fd, int operation)');
const ifNameToIndex = lib.func('uint32_t if_nametoindex(const char *name)');
const ifIndexToName = lib.func('char *if_indextoname(uint32_t index, _Out_ char *name)');
const mountCall = checked(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const eventFdCall = checked('int eventfd(unsigned int count, int flags)');
const EFD_CLOEXEC = 0o2000000;
export const setsockopt = checked('int setsockopt(int fd, int level, int option, const void *value, uint32_t length)');
export const setns = checked('int setns(int fd, int type)');
const mmap = lib.func('void *mmap(void *at, size_t size, int access, int flags, int fd, long offset)');
const munmap = checked('int munmap(void *at, size_t size)');
const mallocTrim = lib.func('int malloc_trim(size_t pad)');
const memcpy = lib.func('void *memcpy(void *to, const void *from, size_t size)');

const EAGAIN = 11;
const EINTR = 4;

export type Datagram = { readonly bytes: number; readonly address: Uint8Array };

/** Reads one datagram if there is one; `bytes` is its whole length, also where the buffer is shorter. */
export function receiveNow(fd: number, buffer: Uint8Array, address: Uint8Array): Datagram | undefined {
  const length: [number] = [address.length];
  const bytes = Number(recvfromCall(fd, buffer, buffer.length, MSG_TRUNC | MSG_DONTWAIT, address, length));
  if (bytes >= 0) return { bytes, address: address.slice(0, length[0]) };
  const errno = koffi.errno();
  if (errno === EAGAIN || errno === EINTR) return undefined;
  throw new KernelError('recvfrom', -errno);
}

koffi.struct('podwall_pollfd', { fd: 'int', events: 'short', revents: 'short' });
const pollCall = lib.func('int poll(podwall_pollfd *fds, unsigned long count, int timeoutMs)');
const POLLIN = 1;

/** Waits, on a thread of its own, until the socket has something to read, is shut down, or the time is over. */
export function waitReadable(fd: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    pollCall.async([{ fd, events: POLLIN, revents: 0 }], 1, timeoutMs, (error: Error | null) =>
      error ? reject(error) : resolve(),
    );
  });
}

/** As waitReadable, for any of these. */
export function waitAnyReadable(fds: readonly number[], timeoutMs: number): Promise<void> {
  const wanted = fds.map((fd) => ({ fd, events: POLLIN, revents: 0 }));
  return new Promise((resolve, reject) => {
    pollCall.async(wanted, wanted.length, timeoutMs, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}

/** A descriptor that is readable once 8 bytes are written to it. */
export const eventFd = (): number => eventFdCall(0, EFD_CLOEXEC);

/** Wakes whoever waits to read from the socket. */
export const shutdown = (fd: number): number => shutdownCall(fd, SHUT_RDWR);

/** Locks a file for as long as the descriptor is open; throws KernelError EAGAIN where another process has it. */
export const lock = (fd: number): number => flockCall(fd, LOCK_EX_NB);

/** The index of a network interface of this process's namespace, or undefined. */
export const interfaceIndex = (name: string): number | undefined => ifNameToIndex(name) || undefined;

/** The name of a network interface of this process's namespace, or undefined. */
export function interfaceName(index: number): string | undefined {
  const IFNAMSIZ = 16;
  return ifIndexToName(index, Buffer.alloc(IFNAMSIZ)) ?? undefined;
}

export const mountBpf = (target: string): number => mountCall('bpf', target, 'bpf', 0, 'mode=0700');

/** Copies bytes into a map made with BPF_F_MMAPABLE. */
export function fillMap(fd: number, bytes: Uint8Array): void {
  const at = mmap(null, bytes.length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if (koffi.address(at) === 0xffffffffffffffffn) throw new KernelError('mmap', -koffi.errno());
  memcpy(at, bytes, bytes.length);
  munmap(at, bytes.length);
}

/** Gives what was freed outside of Node's heap back to the system. */
export const trimMemory = (): boolean => mallocTrim(0) === 1;
