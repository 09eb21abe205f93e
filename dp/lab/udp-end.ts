// For tests: one end of a network, as a process inside its namespace. Binds UDP ports and says what comes in on them.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export type ToEnd = { readonly to: string; readonly port: number; readonly text: string };
export type FromEnd = { readonly port: number; readonly text: string } | { readonly isReady: true };

const [address = '', ...ports] = process.argv.slice(2);
const say = (message: FromEnd): void => void process.send?.(message);

async function bound(port: number): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, address);
  await once(socket, 'listening');
  return socket;
}

for (const port of ports.map(Number)) {
  const socket = await bound(port);
  socket.on('message', (data) => say({ port, text: data.toString() }));
}
const client = await bound(0);
process.on('message', ({ to, port, text }: ToEnd) => client.send(text, port, to));
process.on('disconnect', () => process.exit());
say({ isReady: true });
