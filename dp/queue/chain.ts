// The chain that sends an interface's packets to a queue, in the namespace of the interface. One chain a queue, of dp's own.
import { spawnSync } from 'node:child_process';
import { KernelError } from '../kernel/libbpf.ts';
import { inNamespace } from '../kernel/namespace.ts';
import type { Port } from '../ports/ports.ts';

const FAMILIES = ['iptables', 'ip6tables'] as const;
/** Before address translation for what comes in, as tc would see it; the last hook but translation for what goes out. */
const HOOKS = [
  { chain: 'PREROUTING', side: '-i' },
  { chain: 'POSTROUTING', side: '-o' },
] as const;
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const WAIT_SECONDS = '5';

/** iptables takes a final + for a pattern, and its scripts know quotes: such names are refused. */
export const isPlainName = (iface: string): boolean => /^[\w.:@-]+$/.test(iface);

const nameOf = ({ queue }: Pick<Port, 'queue'>): string => `PODWALL-NFQ-${queue}`;

/** iptables could not do it; the message has what it said. */
export class ChainError extends Error {
  readonly code = 'CHAIN';
}

/** `isOpen`: packets pass while nobody reads the queue. In one step, so that none passes or is lost in between. */
export function installChain(port: Port, isOpen: boolean): void {
  inNamespace(port.netns, () => {
    for (const family of FAMILIES) {
      const bypass = isOpen ? ' --queue-bypass' : '';
      const jumps = HOOKS.filter((hook) => !hasJump(family, port, hook));
      const lines = [
        '*mangle',
        `:${nameOf(port)} - [0:0]`,
        `-A ${nameOf(port)} -j NFQUEUE --queue-num ${port.queue}${bypass}`,
        ...jumps.map(({ chain, side }) => `-I ${chain} 1 ${side} ${port.iface} -j ${nameOf(port)}`),
        'COMMIT',
      ];
      run(`${family}-restore`, ['--noflush', '--wait', WAIT_SECONDS], `${lines.join('\n')}\n`);
    }
  });
}

/** Nothing where it is not there. */
export function removeChain(port: Port): void {
  inNamespace(port.netns, () => {
    for (const family of FAMILIES) {
      const jumps = HOOKS.filter((hook) => hasJump(family, port, hook));
      if (succeeds(family, ['-n', '-L', nameOf(port)])) {
        const lines = [
          '*mangle',
          ...jumps.map(({ chain, side }) => `-D ${chain} ${side} ${port.iface} -j ${nameOf(port)}`),
          `-F ${nameOf(port)}`,
          `-X ${nameOf(port)}`,
          'COMMIT',
        ];
        run(`${family}-restore`, ['--noflush', '--wait', WAIT_SECONDS], `${lines.join('\n')}\n`);
      }
    }
  });
}

type Family = (typeof FAMILIES)[number];

const hasJump = (family: Family, port: Port, { chain, side }: (typeof HOOKS)[number]): boolean =>
  succeeds(family, ['-C', chain, side, port.iface, '-j', nameOf(port)]);

const succeeds = (family: Family, words: readonly string[]): boolean =>
  spawnSync(family, ['--wait', WAIT_SECONDS, '-t', 'mangle', ...words], { env: ENV, stdio: 'ignore' }).status === 0;

function run(command: string, words: readonly string[], input: string): void {
  const { status, stderr, error } = spawnSync(command, words, { env: ENV, input, encoding: 'utf8' });
  if (error && 'code' in error && error.code === 'ENOENT')
    throw new ChainError(`${command} is missing: queues need the Debian package iptables`);
  if (error) throw new KernelError(command, -1);
  if (status !== 0) throw new ChainError(`${command}: ${stderr.trim()}`);
}
