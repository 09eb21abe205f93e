// For tests: one end of an exchange, as a process inside its namespace. Arguments: server or client, the server's address.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ASKED_PORT, DENIED_PORT, type Said, type Told } from './exchange.ts';

const [role = '', address = ''] = process.argv.slice(2);
/** What takes longer was lost: a packet on the same machine takes microseconds. */
const PATIENCE_MS = 5000;
const PAUSE_MS = 2;
const HTTP = 'GET / HTTP/1.1\r\nHost: host.test\r\n\r\n';

const say = (message: Said): void => void process.send?.(message);

async function bound(port: number, at?: string): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.bind(port, at);
  await once(socket, 'listening');
  return socket;
}

async function serve(): Promise<void> {
  const asked = await bound(ASKED_PORT, address);
  asked.on('message', (data, { port, address: from }) => asked.send(data, port, from));
  const denied = await bound(DENIED_PORT, address);
  denied.on('message', (data) => say({ passed: data.toString() }));
  const echo = (socket: Socket): void => void socket.on('error', () => {}).pipe(socket); // the client may just go
  const server = createServer(echo).listen(ASKED_PORT, address);
  await once(server, 'listening');
  say({ isReady: true });
}

/** Sends, and waits for the same to come back; sent anew, it would not be known what was lost. */
async function asks(socket: UdpSocket, text: string): Promise<void> {
  const answered = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) });
  socket.send(text, ASKED_PORT, address);
  try {
    await answered;
  } catch {
    say({ lost: text });
  }
}

async function ask(): Promise<void> {
  let isOver = false;
  process.on('message', (_message: Told) => {
    isOver = true;
  });
  const lasting = await bound(0);
  const denied = await bound(0);
  const connection = connect(ASKED_PORT, address);
  await once(connection, 'connect');
  const ports = new Set([lasting.address().port]);
  for (let round = 1; !isOver && process.connected; round++) {
    const fresh = await bound(0);
    ports.add(fresh.address().port);
    denied.send(`round ${round}, denied`, DENIED_PORT, address);
    await asks(fresh, `round ${round}, new flow`);
    await asks(lasting, `round ${round}, lasting flow`);
    const echoed = once(connection, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) });
    connection.write(HTTP);
    await echoed.catch(() => say({ lost: `round ${round}, connection` }));
    fresh.close();
    say({ rounds: round, flows: ports.size });
    await sleep(PAUSE_MS);
  }
  say({ isReady: true });
}

process.on('disconnect', () => process.exit());
if (role === 'server') await serve();
else await ask();
