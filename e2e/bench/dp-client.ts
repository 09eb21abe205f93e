// Speaks to a dp as an agent does: commands over its socket, and reports back to a socket of our own.
import { rmSync } from 'node:fs';
import type { PolicyConfig, PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { decodeReport, type Report } from '@podwall/dp/protocol/reports.ts';
import { ACTION, BATCH_FLAG, BATCH_RULES, DIRECTION, POLICY_COMMAND } from '@podwall/dp/protocol/values.ts';
import {
  AF_UNIX,
  bind,
  close,
  connect,
  MSG_NOSIGNAL,
  receiveNow,
  SOCK_DGRAM_CLOEXEC,
  sendto,
  socket,
  waitReadable,
} from '../../dp/kernel/libc.ts';

const MAX_REPORT_BYTES = 0x10000;
const WAIT_MS = 100;
const ANSWER_TIMEOUT_MS = 120_000;

export class DpError extends Error {
  readonly code = 'DP';
}

export class DpClient implements Disposable {
  readonly #own: string;
  readonly #fd: number;
  readonly #signal: AbortSignal;
  readonly #buffer = new Uint8Array(MAX_REPORT_BYTES);

  /** `own` is where this end's socket is made. */
  constructor(path: string, own: string, signal: AbortSignal) {
    this.#own = own;
    this.#signal = signal;
    this.#fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    rmSync(own, { force: true });
    bind(this.#fd, addressOf(own), addressOf(own).length);
    connect(this.#fd, addressOf(path), addressOf(path).length);
  }

  /** Waits, blocking, where dp's queue is full: as fast as dp takes them. */
  send(datagrams: readonly Uint8Array[]): void {
    for (const bytes of datagrams) sendto(this.#fd, bytes, bytes.length, MSG_NOSIGNAL, null, 0);
  }

  /** Reports until all these MACs' policies are in force; answers how long it took from the first datagram, in ms. */
  async enforce(datagrams: readonly Uint8Array[], macs: number): Promise<number> {
    const start = performance.now();
    this.send(datagrams);
    for (let realized = 0; realized < macs; ) if ((await this.#next()).kind === 'policyRealized') realized += 1;
    return performance.now() - start;
  }

  /** Resolves once dp has carried out all that was sent before. */
  async sync(): Promise<void> {
    this.send([encode({ ctrl_keep_alive: { seq_num: 1 } })]);
    while ((await this.#next()).kind !== 'keepAlive');
  }

  async #next(): Promise<Report> {
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    while (performance.now() < deadline) {
      this.#signal.throwIfAborted();
      const datagram = receiveNow(this.#fd, this.#buffer, new Uint8Array(0));
      if (datagram === undefined) await waitReadable(this.#fd, WAIT_MS);
      else return this.#read(this.#buffer.subarray(0, datagram.bytes));
    }
    throw new DpError(`dp has not answered for ${ANSWER_TIMEOUT_MS / 1000} s`);
  }

  #read(bytes: Uint8Array): Report {
    const { report } = decodeReport(bytes);
    if (report.kind === 'error') throw new DpError(`dp refused a command: ${report.text}`);
    return report;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
    rmSync(this.#own, { force: true });
  }
}

export const encode = (command: object): Uint8Array => Buffer.from(JSON.stringify(command));

export const addMac = (iface: string, mac: string): Uint8Array => encode({ ctrl_add_mac: { iface, mac } });
export const deleteMac = (iface: string, mac: string): Uint8Array => encode({ ctrl_del_mac: { iface, mac } });

/** A whole policy for egress, in batches: what no rule allows is denied, but for a policy without rules. */
export function wholePolicy(macs: readonly string[], rules: readonly PolicyRule[]): Uint8Array[] {
  return batches({ cmd: POLICY_COMMAND.add, defact: rules.length > 0 ? ACTION.deny : ACTION.open, mac: macs }, rules);
}

/** A change of these rules alone. */
export function changedRules(macs: readonly string[], rules: readonly PolicyRule[]): Uint8Array[] {
  return batches({ cmd: POLICY_COMMAND.mod, defact: ACTION.deny, mac: macs }, rules);
}

type Header = Pick<PolicyConfig, 'cmd' | 'defact'> & { readonly mac: readonly string[] };

function batches(header: Header, rules: readonly PolicyRule[]): Uint8Array[] {
  const count = Math.max(1, Math.ceil(rules.length / BATCH_RULES));
  return Array.from({ length: count }, (_, i) => {
    const flag = (i === 0 ? BATCH_FLAG.start : 0) | (i === count - 1 ? BATCH_FLAG.end : 0);
    const some = rules.slice(i * BATCH_RULES, (i + 1) * BATCH_RULES);
    return encode({ ctrl_cfg_policy: { ...header, dir: DIRECTION.egress, flag, rules: some } });
  });
}

function addressOf(path: string): Uint8Array {
  const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
  address.writeUInt16LE(AF_UNIX);
  address.write(path, 2);
  return address;
}
