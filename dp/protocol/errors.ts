// An error that a command answers with: what an ERROR report carries.
import type { CommandName } from './commands.ts';
import type { ErrorCode } from './reports.ts';

export class CommandError extends Error {
  readonly code: ErrorCode;
  readonly command: CommandName | undefined;

  constructor(command: CommandName | undefined, code: ErrorCode, message: string) {
    super(message);
    this.name = 'CommandError';
    this.command = command;
    this.code = code;
  }
}
