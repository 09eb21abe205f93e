// What can go wrong in a lab.

export type LabErrorCode = 'CommandMissing' | 'CommandFailed' | 'ProcessEnded' | 'TimedOut' | 'NoSuchLab';

/** The message says which command or process, and the end of what it said. */
export class LabError extends Error {
  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
    this.code = code;
  }
}
