// The workload's side of a fault test: talks without a pause to allowed ports, and tries denied ones, until SIGTERM.
// Standard output has one JSON object a line: how far it got, every 100 ms; last, once what is under way is answered, all.
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Exchange, type Tally } from './exchange.ts';
import { PORT } from './ports.ts';

export type Report = {
  /** One connection for the whole time. */
  readonly tcp: Tally;
  /** One socket for the whole time: nothing is sent again, so that no loss is hidden. */
  readonly udp: Tally;
  /** A connection a request. */
  readonly fresh: Tally;
  /** Allowed only at times. */
  readonly switched: Tally;
  /** Packets that must not arrive. */
  readonly denied: number;
  readonly errors: readonly string[];
  readonly isFinal: boolean;
};

const REQUEST_MS = 10;
const FRESH_MS = 50;
const REPORT_MS = 100;
const LAST_ANSWERS_MS = 3_000;
const NUMBER_BYTES = 4;

const [host = ''] = process.argv.slice(2);
const errors: string[] = [];
const [tcp, udp, fresh, switched] = [new Exchange(), new Exchange(), new Exchange(), new Exchange()];
let denied = 0;

const encode = (number: number): Buffer => {
  const bytes = Buffer.alloc(NUMBER_BYTES);
  bytes.writeUInt32BE(number);
  return bytes;
};

/** Takes whole numbers out of a stream, however it is cut. */
function takeNumbers(take: (number: number) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= NUMBER_BYTES; rest = rest.subarray(NUMBER_BYTES)) take(rest.readUInt32BE());
  };
}

const connection = connect(PORT.tcp, host).setNoDelay(true);
connection.on(
  'data',
  takeNumbers((number) => tcp.takeAnswer(number)),
);
connection.on('error', (error) => errors.push(`tcp: ${error.message}`));
const datagrams = createSocket('udp4').on('message', (data) => udp.takeAnswer(data.readUInt32BE()));
const probe = createSocket('udp4').on('message', (data) => switched.takeAnswer(data.readUInt32BE()));

function request(): void {
  connection.write(encode(tcp.send()));
  datagrams.send(encode(udp.send()), PORT.udp, host);
  probe.send(encode(switched.send()), PORT.switchedUdp, host);
  datagrams.send('denied', PORT.deniedUdp, host);
  denied += 1;
}

function requestAnew(): void {
  const number = fresh.send();
  const short = connect(PORT.tcp, host, () => short.write(encode(number)));
  short.on('error', (error) => errors.push(`fresh: ${error.message}`));
  short.on(
    'data',
    takeNumbers((answer) => {
      fresh.takeAnswer(answer);
      short.destroy();
    }),
  );
  attemptDenied();
}

/** From a port of its own: no flow that is known already. */
function attemptDenied(): void {
  const attempt = connect(PORT.deniedTcp, host, () => errors.push('denied tcp: connected'));
  attempt.on('error', (error) => errors.push(`denied tcp: ${error.message}`));
  setTimeout(() => attempt.destroy(), FRESH_MS);
  const socket = createSocket('udp4');
  socket.send('denied', PORT.deniedUdp, host, () => socket.close());
  denied += 2;
}

function report(isFinal: boolean): void {
  const tallies = { tcp: tcp.tally, udp: udp.tally, fresh: fresh.tally, switched: switched.tally };
  const line: Report = { ...tallies, denied, errors, isFinal };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const timers = [
  setInterval(request, REQUEST_MS),
  setInterval(requestAnew, FRESH_MS),
  setInterval(report, REPORT_MS, false),
];

process.once('SIGTERM', async () => {
  timers.forEach(clearInterval);
  const deadline = performance.now() + LAST_ANSWERS_MS;
  while (tcp.outstanding + udp.outstanding + fresh.outstanding > 0 && performance.now() < deadline)
    await sleep(REQUEST_MS);
  report(true);
  process.exit();
});
