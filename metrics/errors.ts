// Why metrics can't be served.

export class MetricsError extends Error {
  /** ADDRESS_TAKEN: another process listens there. ADDRESS_UNUSABLE: this host has no such address, or the port is not for it. */
  readonly code: 'ADDRESS_TAKEN' | 'ADDRESS_UNUSABLE';

  constructor(code: MetricsError['code'], message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'MetricsError';
    this.code = code;
  }
}
