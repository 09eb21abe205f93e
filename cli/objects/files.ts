// Objects from files and folders of YAML or JSON, and from standard input.
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { parseManifests, type Text } from './manifests.ts';
import { ObjectError, type ObjectSource, type Objects } from './object-source.ts';

const STDIN = '-';
const STATUS = '.status.yaml';

export class Files implements ObjectSource {
  readonly #paths: readonly string[];
  readonly #stdin: Readable;

  /** `-` is standard input; of a folder its own *.yaml, *.yml and *.json are read, without hidden and status files. */
  constructor(paths: readonly string[], stdin: Readable) {
    this.#paths = paths;
    this.#stdin = stdin;
  }

  async read(): Promise<Objects> {
    const texts: Text[] = [];
    for (const path of new Set(this.#paths)) texts.push(...(await this.#texts(path)));
    return parseManifests(texts);
  }

  async #texts(path: string): Promise<Text[]> {
    if (path === STDIN) return [{ name: 'standard input', text: await readText(this.#stdin) }];
    try {
      const isFolder = (await stat(path)).isDirectory();
      const files = isFolder
        ? (await readdir(path))
            .filter(isManifest)
            .sort()
            .map((name) => join(path, name))
        : [path];
      if (files.length === 0) throw new ObjectError([`${path} has no *.yaml, *.yml or *.json in it`]);
      return await Promise.all(files.map(async (name) => ({ name, text: await readFile(name, 'utf8') })));
    } catch (error) {
      if (error instanceof ObjectError) throw error;
      throw new ObjectError([`${path} can't be read: ${error instanceof Error ? error.message : error}`]);
    }
  }
}

const isManifest = (name: string): boolean =>
  /\.(ya?ml|json)$/.test(name) && !basename(name).startsWith('.') && !name.endsWith(STATUS);
