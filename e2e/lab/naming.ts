// What a lab's parts are called. All that belongs to a lab is found by its name, whoever made it.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Namespace, namespaceNamed } from './namespace.ts';

const PREFIX = 'podwall-';
/** The pid of the process that made the lab, and how many it had made then. */
const LAB_NAME = /^podwall-(\d+-\d+)(?:-|$)/;
export const BPFFS = '/sys/fs/bpf';

export const labId = (makerPid: number, count: number): string => `${makerPid}-${count}`;
export const makerOf = (id: string): number => Number.parseInt(id, 10);

export const directoryOf = (id: string): string => join(tmpdir(), `${PREFIX}${id}`);
export const pinsOf = (id: string): string => join(BPFFS, `${PREFIX}${id}`);
export const namespaceOf = (id: string, role: string): Namespace => namespaceNamed(`${PREFIX}${id}-${role}`);

/** The lab that a folder or a namespace of this name belongs to; undefined for anything else. */
export const labOfName = (name: string): string | undefined => LAB_NAME.exec(name)?.[1];
