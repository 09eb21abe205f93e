// Sends reports to the agent's socket; what can't be sent now waits in a bounded queue, and what is lost is counted.
import unix, { type Socket } from 'unix-dgram';

const MAX_WAITING = 4096;
const RECONNECT_MS = 500;

/** `counts`: how many reports are lost with it. */
type Waiting = { readonly bytes: Buffer; readonly counts: number };

export class Notifier implements Disposable {
  readonly #path: string;
  readonly #waiting: Waiting[] = [];
  readonly #onState: (state: string) => void;
  #socket: Socket | undefined;
  #isReady = false;
  #retry: NodeJS.Timeout | undefined;
  #lost = 0;
  #given = 0;

  /** `onState` hears of the agent's socket in words: reached, lost. */
  constructor(path: string, onState: (state: string) => void) {
    this.#path = path;
    this.#onState = onState;
    this.#connect();
  }

  /** `saysLost`: how many reports this one says were lost; should it be lost as well, they are counted again with it. */
  send(report: Buffer, saysLost = 0): void {
    this.#given += 1;
    if (this.#waiting.length >= MAX_WAITING) this.#lost += this.#waiting.shift()?.counts ?? 0;
    this.#waiting.push({ bytes: report, counts: 1 + saysLost });
    this.#flush();
  }

  /** How many reports were given to it so far. */
  get given(): number {
    return this.#given;
  }

  /** Of those, how many the agent's socket has not had room for yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many reports were thrown away since the last call, for want of a reader. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  #connect(): void {
    this.#retry = undefined;
    const socket = unix.createSocket('unix_dgram');
    this.#socket = socket;
    socket.on('connect', () => {
      this.#isReady = true;
      this.#onState('reached the agent');
      this.#flush();
    });
    socket.on('congestion', () => {
      this.#isReady = false;
    });
    socket.on('writable', () => {
      this.#isReady = true;
      this.#flush();
    });
    socket.on('error', () => this.#disconnect(socket));
    socket.connect(this.#path);
  }

  #disconnect(socket: Socket): void {
    if (this.#socket !== socket) return;
    if (this.#isReady) this.#onState('lost the agent');
    this.#isReady = false;
    this.#socket = undefined;
    socket.close();
    this.#retry = setTimeout(() => this.#connect(), RECONNECT_MS).unref();
  }

  #flush(): void {
    while (this.#isReady && this.#socket) {
      const [next] = this.#waiting;
      if (!next) return;
      this.#socket.send(next.bytes); // an error or a full receiver clears isReady before this returns
      if (this.#isReady) this.#waiting.shift();
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}
