// Workloads from a file that lists network namespaces: for plain Linux hosts, where no container runtime tells of any.
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { parserMessage, printable } from '@podwall/controller/api/printable.ts';
import { Ajv } from 'ajv';
import type { FromSchema } from 'json-schema-to-ts';
import type { Logger } from 'pino';
import { parse, YAMLError } from 'yaml';
import type { Place, SourceListener, WorkloadSource } from './source.ts';

const SETTLE_MS = 50;
/** Where the file's folder can't be watched, and for file systems that tell of nothing. */
const POLL_MS = 2000;

/** Of its problems. */
const TOPIC = 'workloads';

const name = { type: 'string', minLength: 1, maxLength: 253 } as const;

const fileSchema = {
  type: 'array',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['namespace', 'name', 'netns'],
    properties: {
      namespace: name,
      name,
      uid: { type: 'string', minLength: 1, description: 'The workload’s uid, where there is one.' },
      netns: { type: 'string', pattern: '^/', description: 'The file of its network namespace.' },
      interface: { type: 'string', minLength: 1, maxLength: 15, default: 'eth0' },
    },
  },
} as const;

export type NamespaceEntry = FromSchema<typeof fileSchema>[number];

const validate = new Ajv({ useDefaults: true }).compile<NamespaceEntry[]>(fileSchema);

type NamespaceFileListener = Pick<SourceListener, 'setPlaces' | 'setProblem'>;

export class NamespaceFileError extends Error {
  readonly code = 'NAMESPACE_FILE';

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'NamespaceFileError';
  }
}

/** Reads YAML or JSON. Throws NamespaceFileError. */
export function parseNamespaceFile(text: string): NamespaceEntry[] {
  let entries: unknown;
  try {
    entries = parse(text, { logLevel: 'error' }) ?? []; // a warning would be printed with what the file holds
  } catch (error) {
    if (error instanceof YAMLError) throw new NamespaceFileError(`not YAML: ${parserMessage(error.message)}`, error);
    throw error;
  }
  if (!validate(entries)) {
    const [first] = validate.errors ?? [];
    throw new NamespaceFileError(`${first?.instancePath || 'the list'} ${first?.message}`);
  }
  const twice = entries.find((entry, i) => entries.findIndex((other) => isSame(other, entry)) !== i);
  if (twice) throw new NamespaceFileError(`${printable(`${twice.namespace}/${twice.name}`)} is there twice`);
  return entries;
}

const placeOf = ({ netns, ...entry }: NamespaceEntry): Place => ({ ...entry, netns: { path: netns } });

const isSame = (a: NamespaceEntry, b: NamespaceEntry): boolean => a.namespace === b.namespace && a.name === b.name;

export class NamespaceFile implements WorkloadSource {
  readonly #path: string;
  readonly #log: Logger;
  readonly #listener: NamespaceFileListener;
  readonly #watcher: FSWatcher | undefined;
  readonly #poll: NodeJS.Timeout;
  #settle: NodeJS.Timeout | undefined;
  #text: string | undefined;

  /** Tells every good state of the file; a bad one is logged, told as a problem, and changes nothing. */
  constructor(path: string, listener: NamespaceFileListener, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#listener = listener;
    this.#watcher = this.#watch();
    this.#poll = setInterval(() => void this.#read(), POLL_MS);
    void this.#read();
  }

  /** Nothing waits for these workloads. */
  wake(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watcher?.close();
    clearInterval(this.#poll);
    clearTimeout(this.#settle);
  }

  /** The folder, since editors replace files, and a mounted ConfigMap swaps a link beside them. */
  #watch(): FSWatcher | undefined {
    try {
      return watch(dirname(this.#path), (_, file) => {
        if (file !== null && file !== basename(this.#path) && !file.startsWith('..')) return;
        clearTimeout(this.#settle);
        this.#settle = setTimeout(() => void this.#read(), SETTLE_MS);
      }).on('error', (error) => this.#log.warn({ path: this.#path, error: error.message }, 'watch of file failed'));
    } catch (error) {
      this.#log.warn({ path: this.#path, error: String(error) }, 'folder of file is not watched');
      return undefined;
    }
  }

  async #read(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch((error: Error) => error);
    const known = text instanceof Error ? text.message : text;
    if (known === this.#text) return;
    this.#text = known;
    try {
      if (text instanceof Error) throw new NamespaceFileError(text.message, text);
      const entries = parseNamespaceFile(text);
      this.#listener.setProblem(TOPIC, undefined);
      this.#listener.setPlaces(entries.map(placeOf));
    } catch (error) {
      if (!(error instanceof NamespaceFileError)) throw error;
      const problem = `${this.#path}: ${error.message}; what it said before stays in force`;
      this.#log.error({ path: this.#path, error: error.message }, 'file of workloads is not readable');
      this.#listener.setProblem(TOPIC, problem);
    }
  }
}
