// For tests: frames as they are, sent from an interface of a namespace.
import { spawnSync } from 'node:child_process';

const SCRIPT = `
import socket, sys
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((sys.argv[1], 0))
for line in sys.stdin:
    sender.send(bytes.fromhex(line))
`;

export function sendFrames(namespace: string, iface: string, frames: readonly Uint8Array[]): void {
  const input = frames.map((frame) => `${Buffer.from(frame).toString('hex')}\n`).join('');
  const command = [`--net=${namespace}`, '--', 'python3', '-c', SCRIPT, iface];
  const { status, stderr } = spawnSync('nsenter', command, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}
