// Asks a resolver for the addresses of a name: over UDP, again if nothing comes, over TCP if it does not fit.
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createConnection, isIPv6 } from 'node:net';
import { type Answer, encodeQuestion, type Question, readAnswer } from './message.ts';

export const TIMEOUT_MS = 2000;
const TRIES = 3;
const MAX_ID = 0x10000;
const LENGTH_BYTES = 2;

export type Resolver = { readonly address: string; readonly port: number };

/** Never throws: what went wrong is in the answer. */
export async function lookUp(
  resolver: Resolver,
  name: string,
  type: Question['type'],
  timeoutMs = TIMEOUT_MS,
): Promise<Answer> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const question = { id: randomInt(MAX_ID), name, type };
    const answer = await ask(askUdp, resolver, question, timeoutMs);
    if (answer?.kind === 'truncated')
      return (await ask(askTcp, resolver, question, timeoutMs)) ?? { kind: 'failed', reason: 'no answer over TCP' };
    if (answer) return answer;
  }
  return { kind: 'failed', reason: `no answer from ${resolver.address}, asked ${TRIES} times` };
}

type Ask = (resolver: Resolver, question: Question, settle: (answer: Answer | undefined) => void) => () => void;

/** Undefined where nothing came in time. */
function ask(by: Ask, resolver: Resolver, question: Question, timeoutMs: number): Promise<Answer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
  const close = by(resolver, question, resolve);
  const timeout = setTimeout(() => resolve(undefined), timeoutMs);
  return promise.finally(() => {
    clearTimeout(timeout);
    close();
  });
}

/** From a port of its own for each question, and from nobody but the resolver: so that answers are hard to forge. */
const askUdp: Ask = ({ address, port }, question, settle) => {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  socket.on('error', (error) => settle({ kind: 'failed', reason: error.message }));
  socket.on('message', (datagram) => {
    const answer = readAnswer(datagram, question);
    if (answer) settle(answer);
  });
  socket.connect(port, address, () => socket.send(encodeQuestion(question)));
  return () => socket.close();
};

const askTcp: Ask = ({ address, port }, question, settle) => {
  const message = encodeQuestion(question);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  const socket = createConnection(port, address, () => socket.write(Buffer.concat([length, message])));
  let received = Buffer.alloc(0);
  socket.on('error', (error) => settle({ kind: 'failed', reason: error.message }));
  socket.on('data', (data) => {
    received = Buffer.concat([received, data]);
    if (received.length < LENGTH_BYTES || received.length < LENGTH_BYTES + received.readUInt16BE()) return;
    settle(readAnswer(received.subarray(LENGTH_BYTES, LENGTH_BYTES + received.readUInt16BE()), question));
  });
  return () => socket.destroy();
};
