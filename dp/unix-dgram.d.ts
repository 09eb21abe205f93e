declare module 'unix-dgram' {
  import type { EventEmitter } from 'node:events';

  export type DatagramInfo = { readonly size: number; readonly path?: string };

  /** Emits message(Buffer, DatagramInfo), listening, connect, congestion(Buffer), writable, error(NodeJS.ErrnoException). */
  export interface Socket extends EventEmitter {
    bind(path: string): void;
    connect(path: string): void;
    /** Once connected. Emits congestion, and sends nothing, where the receiver's queue is full. */
    send(bytes: Buffer): void;
    send(bytes: Buffer, offset: number, length: number, path: string): void;
    close(): void;
  }

  const unix: { createSocket(type: 'unix_dgram', listener?: (bytes: Buffer, info: DatagramInfo) => void): Socket };
  export default unix;
}
