// For tests: what flood.ts runs.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const [from = '', to = '', ...numbers] = process.argv.slice(2);
const [first = 0, last = 0, sources = 0] = numbers.map(Number);

/** A policy that drops it is no error here. */
const send = (socket: Socket, port: number): Promise<void> =>
  new Promise((resolve) => socket.send('flood', port, to, () => resolve()));

for (let source = 0; source < sources; source++) {
  const socket = createSocket('udp4');
  socket.bind(0, from);
  await once(socket, 'listening');
  for (let port = first; port <= last; port += 64) {
    const ports = Array.from({ length: Math.min(64, last - port + 1) }, (_, i) => port + i);
    // Twice: of flows that have one packet alone, a table forgets the newest and keeps all others.
    await Promise.all(ports.flatMap((one) => [send(socket, one), send(socket, one)]));
  }
  socket.close();
}
