// Unix datagram sockets: one that sends to a path and waits while its receiver is full, one that is bound to a path.
import { lstatSync, rmSync, type Stats, statSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import unix, { type Socket } from 'unix-dgram';

/** Only the owner of a socket's file may send to it. */
const OWNER_ONLY = 0o177;
const ROOT = 0;

/** `code` is the system's (ECONNREFUSED: nobody reads there any more), or IN_USE, NOT_A_SOCKET, NOT_OWN, CLOSED. */
export class DatagramError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'DatagramError';
    this.code = code;
  }
}

export class DatagramSender implements Disposable {
  readonly #path: string;
  readonly #socket: Socket;
  #outcome: DatagramError | 'full' | undefined;
  #isClosed = false;
  #room: PromiseWithResolvers<void> | undefined;

  /** Throws DatagramError where nothing is bound to the path, or by another user than root or this process's. */
  constructor(path: string) {
    refuseForeign(path);
    this.#path = path;
    this.#socket = unix.createSocket('unix_dgram');
    this.#socket.on('error', (error) => {
      this.#outcome = asDatagramError(error, path);
    });
    this.#socket.on('congestion', () => {
      this.#outcome = 'full';
    });
    this.#socket.on('writable', () => this.#room?.resolve());
    this.#socket.connect(path);
    if (this.#outcome instanceof DatagramError) {
      this.#socket.close();
      throw this.#outcome;
    }
  }

  /** Resolves once the receiver's queue has taken it. Throws DatagramError. One at a time: await each before the next. */
  async send(bytes: Buffer): Promise<void> {
    for (;;) {
      if (this.#isClosed) throw new DatagramError('CLOSED', `the connection to ${this.#path} was closed`);
      this.#outcome = undefined;
      this.#socket.send(bytes); // answers by the listeners above, before it returns
      const outcome: DatagramError | 'full' | undefined = this.#outcome;
      if (outcome === undefined) return;
      if (outcome !== 'full') throw outcome;
      this.#room = Promise.withResolvers();
      await this.#room.promise;
    }
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
    this.#room?.resolve();
  }
}

export class DatagramReceiver implements Disposable {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #file: Stats;

  /**
   * Takes the path over from a process that is gone. Throws DatagramError where another one reads there, or where
   * the path is anything but a socket, or one of another user than root or this process's.
   */
  constructor(path: string, onDatagram: (datagram: Buffer) => void) {
    this.#path = path;
    removeDeadSocket(path);
    this.#socket = unix.createSocket('unix_dgram', onDatagram);
    let failure: DatagramError | undefined;
    this.#socket.on('error', (error) => {
      failure = asDatagramError(error, path);
    });
    const umask = process.umask(OWNER_ONLY);
    try {
      this.#socket.bind(path); // never follows a link in the path's last part
    } finally {
      process.umask(umask);
    }
    if (failure) {
      this.#socket.close();
      throw failure;
    }
    this.#file = lstatSync(path);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    const now = lstatSync(this.#path, { throwIfNoEntry: false });
    if (now?.ino === this.#file.ino && now.dev === this.#file.dev) rmSync(this.#path);
  }
}

function removeDeadSocket(path: string): void {
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (!file) return;
  if (!file.isSocket())
    throw new DatagramError('NOT_A_SOCKET', `${path} exists and is not a socket: remove it, or name another path`);
  if (isRead(path))
    throw new DatagramError('IN_USE', `another process reads from ${path}: end it, or name another path`);
  rmSync(path);
}

function isRead(path: string): boolean {
  try {
    new DatagramSender(path)[Symbol.dispose]();
    return true;
  } catch (error) {
    if (error instanceof DatagramError && error.code === 'ECONNREFUSED') return false;
    throw error;
  }
}

/** In a folder that all may write to, anyone can bind a path first, and would get what is meant for another. */
function refuseForeign(path: string): void {
  const trusted = [ROOT, process.getuid?.()];
  // The owner of a link can have it lead elsewhere at any time.
  for (const file of [lstatSync(path, { throwIfNoEntry: false }), statSync(path, { throwIfNoEntry: false })]) {
    if (!file || trusted.includes(file.uid)) continue;
    const message = `${path} belongs to user ${file.uid}, which is neither root nor this process’s: remove it, or name another path`;
    throw new DatagramError('NOT_OWN', message);
  }
}

/** unix-dgram gives the negative error number as the code. */
function asDatagramError(error: { readonly code?: unknown; readonly syscall?: unknown }, path: string): DatagramError {
  const name = typeof error.code === 'number' ? getSystemErrorName(error.code) : String(error.code);
  return new DatagramError(name, `${String(error.syscall)} ${path}: ${name}`);
}
