// The traffic that is measured: who serves it, who asks, and how to read what the client says. Pure.
import type { Command } from '../lab/command.ts';
import { SERVER_IP } from './rule-sets.ts';

export type Load = {
  readonly name: string;
  readonly unit: string;
  /** Against the same path with no program, at the most rules. */
  readonly atLeast: number;
  readonly client: (seconds: number) => Command;
  /** More is better; undefined where the output has no figure. */
  readonly read: (output: string) => number | undefined;
};

const STREAM_PORT = '5201';
const RESPONSE_PORT = '11111';
const MESSAGE_BYTES = '64';

export const LOADS: readonly Load[] = [
  {
    name: 'one TCP stream',
    unit: 'Gbit/s',
    atLeast: 0.95,
    client: (seconds) => ['iperf3', '--json', '-c', SERVER_IP, '-p', STREAM_PORT, '-t', `${seconds}`],
    read: (output) => {
      const bits = /"sum_received":\s*\{[^}]*"bits_per_second":\s*([\d.e+]+)/.exec(output)?.[1];
      return bits === undefined ? undefined : Number(bits) / 1e9;
    },
  },
  {
    name: 'TCP request and response on an open connection',
    unit: 'a second',
    atLeast: 0.95,
    client: (seconds) => [
      ...(['sockperf', 'ping-pong', '--tcp', '-i', SERVER_IP, '-p', RESPONSE_PORT] as const),
      ...['-m', MESSAGE_BYTES, '-t', `${seconds}`],
    ],
    read: (output) => {
      const [, seconds, messages] = /Valid Duration\] RunTime=([\d.]+) sec;.*ReceivedMessages=(\d+)/.exec(output) ?? [];
      return messages === undefined ? undefined : Number(messages) / Number(seconds);
    },
  },
  {
    name: 'TCP connect, request and close',
    unit: 'a second',
    atLeast: 0.9,
    client: (seconds) => [
      ...(['wrk', '-t', '1', '-c', '1', '-d', `${seconds}s`, '-H', 'Connection: close'] as const),
      `http://${SERVER_IP}/`,
    ],
    read: (output) => {
      const rate = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1];
      return rate === undefined || /Socket errors|Non-2xx/.test(output) ? undefined : Number(rate);
    },
  },
];

export const STREAM_SERVER: Command = ['iperf3', '-s', '-p', STREAM_PORT];
export const RESPONSE_SERVER: Command = ['sockperf', 'server', '--tcp', '-i', SERVER_IP, '-p', RESPONSE_PORT];

export const webServer = (directory: string): Command => ['nginx', '-p', directory, '-c', 'nginx.conf', '-e', 'stderr'];

export const webServerConfiguration = (directory: string): string => `
daemon off;
user root;
worker_processes 1;
pid ${directory}/nginx.pid;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${directory};`).join('\n  ')}
  server {
    listen ${SERVER_IP}:80 backlog=4096;
    location / { return 200 "ok\\n"; }
  }
}
`;
