// For tests: one end of a network, as a process inside its namespace. Binds UDP ports and says what comes in on them.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** To send a datagram, or to send from a port of its own from now on. */
export type ToEnd = { readonly to: string; readonly port: number; readonly text: string } | { readonly isAnew: true };
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
  // Said once every port that has something is read: one port's reading goes on for as long as more comes.
  socket.on('message', (data) => setImmediate(say, { port, text: data.toString() }));
}
let client = await bound(0);
process.on('message', async (message: ToEnd) => {
  if ('to' in message) {
    client.send(message.text, message.port, message.to);
    return;
  }
  client.close();
  client = await bound(0);
  say({ isReady: true });
});
process.on('disconnect', () => process.exit());
say({ isReady: true });
