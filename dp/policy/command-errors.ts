// Why a command can't be carried out, as the sender is told it.
import { KernelError } from '../kernel/libbpf.ts';
import { NamespaceError } from '../kernel/namespace.ts';
import { LimitExceeded } from '../limits.ts';
import type { CommandName } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { ChainError } from '../queue/chain.ts';

export const badName = (iface: string): CommandError =>
  new CommandError(
    'ctrl_add_nfq_port',
    ERROR_CODE.invalidCommand,
    `ctrl_add_nfq_port: iface ${iface}: letters, digits and _ . : @ - are what a queue’s interface may be called by`,
  );

export const unknownMac = (command: CommandName, which: string): CommandError =>
  new CommandError(
    command,
    ERROR_CODE.unknownMac,
    `${command}: no workload ${which}: announce it by ctrl_add_mac first`,
  );

/** Of the kernel's errors, those that somebody can do something about. */
const REASONS: Readonly<Record<string, string>> = {
  ENOMEM: 'the kernel has no memory left for it: ',
  EMFILE: 'dp may have no more files open (raise LimitNOFILE, or ulimit -n): ',
  ENFILE: 'the system may have no more files open (raise fs.file-max): ',
};

/** Throws what is no fault of the command’s. */
export function asCommandError(name: CommandName, error: unknown): CommandError {
  if (error instanceof CommandError) return error.command ? error : new CommandError(name, error.code, error.message);
  if (error instanceof LimitExceeded)
    return new CommandError(name, ERROR_CODE.policyTooLarge, `${name}: ${error.message}`);
  if (error instanceof NamespaceError || error instanceof ChainError)
    return new CommandError(name, ERROR_CODE.interfaceFailed, `${name}: ${error.message}`);
  if (error instanceof KernelError)
    return new CommandError(name, ERROR_CODE.kernelFailed, `${name}: ${REASONS[error.code] ?? ''}${error.message}`);
  throw error;
}
