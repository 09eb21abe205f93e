// A command line that can't be read; the message says what to write instead.

export class UsageError extends Error {
  readonly code = 'USAGE';
  override readonly name = 'UsageError';
  /** Where to read more, as in `podwall explain --help`. */
  readonly help: string;

  constructor(message: string, help: string) {
    super(message);
    this.help = help;
  }
}
