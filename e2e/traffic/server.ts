// The peer of a fault test: echoes on some ports, and says on standard output what arrives on those that are denied.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { PORT } from './ports.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);

createServer((connection) => {
  connection.setNoDelay(true).on('error', (error) => say(`error ${error.message}`));
  connection.pipe(connection);
}).listen(PORT.tcp);

for (const port of [PORT.udp, PORT.switchedUdp]) {
  const echo = createSocket('udp4').bind(port);
  echo.on('message', (data, { address, port: clientPort }) => echo.send(data, clientPort, address));
}

createServer((connection) => {
  say('arrived tcp');
  connection.destroy();
}).listen(PORT.deniedTcp);
createSocket('udp4')
  .bind(PORT.deniedUdp)
  .on('message', () => say('arrived udp'));

say('ready');
