// Where the objects come from that are reasoned about.
import type { Resource } from '@podwall/controller/api/resources.ts';

export type Objects = {
  readonly resources: readonly Resource[];
  /** What was found and is of no concern, in words. */
  readonly leftOut: readonly string[];
};

export interface ObjectSource {
  /** Throws ObjectError. */
  read(): Promise<Objects>;
}

/** What can't be read or is not valid; each message says where and what to do. */
export class ObjectError extends Error {
  readonly code = 'OBJECTS';
  override readonly name = 'ObjectError';
  readonly messages: readonly string[];

  constructor(messages: readonly string[]) {
    super(messages.join('\n'));
    this.messages = messages;
  }
}
