// The compiled programs with their tables: what they are like, and loading them over pinned tables.
import { dirname } from 'node:path';
import { PROGRAMS, type ProgramName } from './attachment.ts';
import { layout } from './btf.ts';
import { KernelError, type MapShape } from './libbpf.ts';
import {
  closeObject,
  findMap,
  findProgram,
  keySize,
  keyTypeId,
  loadObject,
  mapFd,
  mapFlags,
  mapType,
  maxEntriesOf,
  openFile,
  programFd,
  setAutoload,
  setInitialValue,
  setMaxEntries,
  setPinPath,
  valueSize,
  valueTypeId,
} from './libbpf-object.ts';
import { recordLayout } from './record-layout.ts';
import { formatsOf, TABLES, type TableLayout, type TableName, type TablesLayout } from './table-layouts.ts';

export class LoadError extends Error {
  readonly code = 'LOAD';
}

/** How many entries tables have, where not as many as their definition says. */
export type Sizes = Readonly<Partial<Record<TableName, number>>>;
/** `shadow`: the programs that keep flows while others decide. */
export type Mode = 'in force' | 'shadow';

/** Tells an application by a payload; has an address keep a name. */
export type OwnProgram = 'tell_application' | 'keep_address';

/** The program for watched interfaces, and the table in which it is found. */
export const WATCH = 'watch';
export const WATCHERS = 'watchers';

const SHADOW_VARIABLE = '.rodata.shadow';
const shadowOf = (program: string): string => `shadow_${program}`;

export class ProgramObject implements Disposable {
  readonly #path: string;
  readonly #object: unknown;
  readonly #mode: Mode;
  #isOpen = true;

  /** Throws LoadError where it is not there. */
  constructor(path: string, sizes: Sizes, mode: Mode = 'in force') {
    this.#path = path;
    this.#mode = mode;
    this.#object = openFile(path, null);
    if (!this.#object) throw new LoadError(`${path} is missing: run npm run build`);
    for (const [table, entries] of Object.entries(sizes)) setMaxEntries(findMap(this.#object, table), entries);
  }

  /** Of the tables that are pinned. */
  layout(): TablesLayout {
    const btf = layout(this.#path);
    const tables = TABLES.map((name): [TableName, TableLayout] => {
      const map = findMap(this.#object, name);
      const record = (typeId: number) => (typeId === 0 ? undefined : recordLayout(btf, typeId));
      return [name, { ...shapeOf(map), key: record(keyTypeId(map)), value: record(valueTypeId(map)) }];
    });
    return { tables: Object.fromEntries(tables), formats: formatsOf(btf) };
  }

  /**
   * Loads the programs over what is pinned in a directory; what is not there yet is made and pinned. `watchers`, where the
   * programs of watched interfaces find the one that decides, is of no layout: it lies beside the directory. Throws LoadError.
   */
  load(directory: string): void {
    for (const name of TABLES) setPinPath(findMap(this.#object, name), `${directory}/${name}`);
    setPinPath(findMap(this.#object, WATCHERS), `${dirname(directory)}/${WATCHERS}`);
    const isShadow = this.#mode === 'shadow';
    if (isShadow) setPinPath(findMap(this.#object, 'previous'), `${directory}/previous`);
    setInitialValue(findMap(this.#object, SHADOW_VARIABLE), new Uint8Array(Uint32Array.of(Number(isShadow)).buffer), 4);
    setAutoload(findProgram(this.#object, WATCH), !isShadow);
    for (const program of PROGRAMS) {
      setAutoload(findProgram(this.#object, program), !isShadow);
      setAutoload(findProgram(this.#object, shadowOf(program)), isShadow);
    }
    try {
      loadObject(this.#object);
    } catch (error) {
      throw loadError(error, directory);
    }
  }

  mapFd(name: TableName | 'previous' | typeof WATCHERS): number {
    return mapFd(findMap(this.#object, name));
  }

  /** A program that dp runs itself, and that is the same in every mode. */
  ownFd(program: OwnProgram): number {
    return programFd(findProgram(this.#object, program));
  }

  programFd(program: ProgramName | typeof WATCH): number {
    return programFd(findProgram(this.#object, this.#mode === 'shadow' ? shadowOf(program) : program));
  }

  /** Lets go of tables and programs: what is pinned or attached stays. */
  [Symbol.dispose](): void {
    if (this.#isOpen) closeObject(this.#object);
    this.#isOpen = false;
  }
}

const shapeOf = (map: unknown): MapShape => ({
  type: mapType(map),
  keyBytes: keySize(map),
  valueBytes: valueSize(map),
  maxEntries: maxEntriesOf(map),
  flags: mapFlags(map),
});

function loadError(error: unknown, directory: string): unknown {
  if (!(error instanceof KernelError)) return error;
  if (error.code === 'EPERM')
    return new LoadError(
      'the kernel refused to load the programs (EPERM): dp needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON',
    );
  // As the verifier answers where it may not take pointers for numbers, or finds a fault of the programs.
  if (error.code === 'EACCES')
    return new LoadError(
      'the kernel’s verifier refused the programs (EACCES): dp needs CAP_PERFMON; where it has that, this is a fault of dp',
    );
  return new LoadError(
    `the kernel programs did not load (${error.code}) over the tables pinned in ${directory}; what is in force stays`,
  );
}
