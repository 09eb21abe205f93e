// The socket that commands come in on. Through libc, since a command may have 256 KiB and unix-dgram cuts at 64.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { isKernelError, KernelError } from './libbpf.ts';
import {
  AF_UNIX,
  bind,
  close,
  connect,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  receiveNow,
  SOCK_DGRAM_CLOEXEC,
  sendto,
  shutdown,
  socket,
  waitReadable,
} from './libc.ts';

const FAMILY_BYTES = 2;
const PATH_BYTES = 108; // sizeof sun_path
const WAIT_MS = 1000;
/** Read in a row before others get their turn. */
const BURST = 64;

export class SocketError extends Error {
  readonly code = 'COMMAND_SOCKET';
}

/** One datagram. `bytes` is its length; `data` is cut at what the socket takes. `sender` is empty for an unbound one. */
export type Command = { readonly data: Uint8Array; readonly bytes: number; readonly sender: Uint8Array };

export class CommandSocket implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #buffer: Uint8Array;
  #isOpen = true;

  private constructor(path: string, fd: number, maxBytes: number) {
    this.#path = path;
    this.#fd = fd;
    this.#buffer = new Uint8Array(maxBytes);
  }

  /**
   * Makes the socket with mode 0600, in the place of one that nobody reads any more. Throws SocketError where
   * something else is there: a file, a link, or a socket in use.
   */
  static bind(path: string, maxBytes: number): CommandSocket {
    const address = addressOf(path);
    removeDead(path, address);
    const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    const mask = process.umask(0o177);
    try {
      bind(fd, address, address.length);
      chmodSync(path, 0o600);
    } catch (error) {
      close(fd);
      if (error instanceof KernelError) throw new SocketError(`--listen ${path}: ${error.message}`);
      throw error;
    } finally {
      process.umask(mask);
    }
    return new CommandSocket(path, fd, maxBytes);
  }

  /** Every datagram, until the socket is closed. The data is valid until the next one is asked for. */
  async *datagrams(): AsyncGenerator<Command> {
    const address = new Uint8Array(FAMILY_BYTES + PATH_BYTES);
    while (this.#isOpen) {
      await waitReadable(this.#fd, WAIT_MS);
      for (let i = 0; i < BURST && this.#isOpen; i++) {
        const datagram = receiveNow(this.#fd, this.#buffer, address);
        if (!datagram) break;
        const data = this.#buffer.subarray(0, Math.min(datagram.bytes, this.#buffer.length));
        const isBound = datagram.address.length > FAMILY_BYTES;
        yield { data, bytes: datagram.bytes, sender: isBound ? datagram.address : new Uint8Array() };
      }
    }
    close(this.#fd);
  }

  /** Sends to a bound sender; throws KernelError where it reads too slowly (EAGAIN) or no more. */
  answer(sender: Uint8Array, bytes: Uint8Array): void {
    sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, sender, sender.length);
  }

  /** Ends `datagrams` and removes the socket. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    rmSync(this.#path, { force: true });
    shutdown(this.#fd);
  }
}

/** The path of a sender's address. */
export const pathOf = (address: Uint8Array): string =>
  Buffer.from(address.subarray(FAMILY_BYTES)).toString('utf8').replace(/\0$/, '');

function addressOf(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length >= PATH_BYTES)
    throw new SocketError(`--listen ${path}: ${bytes.length} bytes; a socket's path has ${PATH_BYTES - 1} at most`);
  const address = Buffer.alloc(FAMILY_BYTES + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, FAMILY_BYTES);
  return address;
}

function removeDead(path: string, address: Uint8Array): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (found.uid !== 0 && found.uid !== process.getuid?.())
    throw new SocketError(
      `--listen ${path}: it belongs to user ${found.uid}, who could read what dp is sent; remove it`,
    );
  if (!found.isSocket()) throw new SocketError(`--listen ${path}: something that is no socket is there; remove it`);
  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  try {
    connect(fd, address, address.length);
  } catch (error) {
    // A stream socket that someone listens on.
    if (isKernelError(error, 'EPROTOTYPE'))
      throw new SocketError(`--listen ${path}: another process listens on this socket; give dp its own path`);
    if (!isKernelError(error, 'ECONNREFUSED')) throw error;
    rmSync(path);
    return;
  } finally {
    close(fd);
  }
  throw new SocketError(`--listen ${path}: another dp reads this socket; stop it, or give this one its own path`);
}
