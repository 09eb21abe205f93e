#!/usr/bin/env node
// Forwards connections from a port of this machine's loopback to an address inside a network namespace:
//   relay.ts 16443 /run/netns/NAME 10.200.0.1:6443
// A socket stays in the network namespace that it was made in. So this process listens in its own, hands the listening
// socket to a child inside the other, and the child accepts from the one and connects in the other.
import { spawn } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';

const [port = '', namespace = '', target = ''] = process.argv.slice(2);

if (process.send === undefined) listen();
else process.once('message', (_message, server) => serve(server as Server)); // what `listen` sends below

function listen(): void {
  const server = createServer();
  server.listen(Number(port), '127.0.0.1', () => {
    const command = [`--net=${namespace}`, '--', process.execPath, ...process.argv.slice(1)];
    const child = spawn('nsenter', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.send('listen', server, () => server.close());
    child.once('exit', (code) => process.exit(code ?? 1));
  });
}

function serve(server: Server): void {
  process.once('disconnect', () => process.exit());
  const [host, targetPort] = target.split(':');
  server.on('connection', (client) => {
    const upstream = connect({ host, port: Number(targetPort), allowHalfOpen: true });
    pipe(client, upstream);
    pipe(upstream, client);
  });
}

function pipe(from: Socket, to: Socket): void {
  from.setNoDelay();
  from.pipe(to);
  from.once('error', () => to.destroy());
  from.once('close', () => to.end());
}
