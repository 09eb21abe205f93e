// For tests: datagrams larger than a socket’s usual send buffer, from a sender without a path of its own.
import { spawnSync } from 'node:child_process';

const SCRIPT = `
import socket, sys
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
SO_SNDBUFFORCE = 32
sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)
datagram = sys.stdin.buffer.read()
for _ in range(int(sys.argv[2])):
    sender.sendto(datagram, sys.argv[1])
`;

/** Throws where it is not sent whole. */
export function sendLarge(path: string, datagram: string | Uint8Array, times = 1): void {
  const { status, stderr } = spawnSync('python3', ['-c', SCRIPT, path, String(times)], {
    input: datagram,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
}
