// For tests: one end of TCP connections, as a process inside its namespace. A connection is named by its client's port.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** `from`: the client's port. `text` is sent; without one, the own side is ended. */
export type TcpOrder =
  | { readonly listen: number }
  | { readonly unlisten: number }
  | { readonly connect: number; readonly to: string; readonly from: number }
  | { readonly from: number; readonly text?: string }
  | { readonly abort: number }
  | { readonly settle: true };
export type ToTcpEnd = { readonly id: number; readonly order: TcpOrder };
export type FromTcpEnd =
  | { readonly id: number; readonly error?: string }
  | { readonly from: number; readonly text: string }
  | { readonly from: number; readonly isEnded: true }
  | { readonly from: number; readonly isClosed: true };

const [address = ''] = process.argv.slice(2);
const servers = new Map<number, Server>();
const sockets = new Map<number, Socket>();
/** Not heard any more where the test is over. */
const say = (message: FromTcpEnd): void => void process.send?.(message, undefined, undefined, () => {});

function keep(from: number, socket: Socket): void {
  sockets.set(from, socket);
  socket.setNoDelay(true);
  socket.on('data', (data) => say({ from, text: data.toString('latin1') }));
  socket.on('end', () => say({ from, isEnded: true }));
  socket.on('close', () => say({ from, isClosed: true }));
  socket.on('error', () => {}); // a connection that is cut is what tests are about
}

function socketOf(from: number): Socket {
  const socket = sockets.get(from);
  if (!socket) throw new Error(`no connection from port ${from}`);
  return socket;
}

async function carryOut(order: TcpOrder): Promise<void> {
  if ('listen' in order) {
    const server = createServer({ allowHalfOpen: true }, (socket) => keep(socket.remotePort ?? 0, socket));
    servers.set(order.listen, server.listen(order.listen, address));
    await once(server, 'listening');
  } else if ('unlisten' in order) {
    servers.get(order.unlisten)?.close(); // its connections go on
  } else if ('connect' in order) {
    const { to: host, connect: port, from: localPort } = order;
    const socket = connect({ host, port, localAddress: address, localPort, allowHalfOpen: true });
    keep(localPort, socket);
    await once(socket, 'connect');
  } else if ('abort' in order) {
    socketOf(order.abort).resetAndDestroy();
  } else if ('settle' in order) {
    // What has arrived before is read in this turn of the loop, or in the next.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  } else if (order.text === undefined) {
    socketOf(order.from).end();
  } else {
    socketOf(order.from).write(order.text, 'latin1');
  }
}

process.on('message', async ({ id, order }: ToTcpEnd) => {
  try {
    await carryOut(order);
    say({ id });
  } catch (error) {
    say({ id, error: String(error) });
  }
});
process.on('disconnect', () => process.exit());
