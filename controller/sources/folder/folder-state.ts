// What of a folder is in force: pure, from what was in force and what the folder holds now.
import type { Refusal } from '../../api/parse.ts';
import { describe, type Resource } from '../../api/resources.ts';
import { type Declared, declare, NOTHING_UNREAD } from '../declared.ts';
import { claimsOf, type ManifestFile, nameOf, parseManifestFile } from './manifest-file.ts';

/** The folder's files by name, each with its text or why it can't be read. */
export type Scan = ReadonlyMap<string, { readonly text: string } | { readonly error: string }>;

export type FileState = {
  /** What was read last; undefined where it could not be. */
  readonly text: string | undefined;
  readonly parsed: ManifestFile;
  /** As it was last valid; undefined for a file that never was. */
  readonly inForce: readonly Resource[] | undefined;
  readonly refusals: readonly Refusal[];
  /** Set for a file that is gone or empty and may be in the middle of being replaced: still in force until believed. */
  readonly missingSinceMs: number | undefined;
};
export type FolderState = ReadonlyMap<string, FileState>;

/** How long a file that had resources must be gone or empty to be believed: an editor may be about to write it. */
export const REMOVAL_GRACE_MS = 200;

export function nextFolderState(state: FolderState, scan: Scan, nowMs: number): FolderState {
  const next = new Map<string, FileState>();
  for (const [file, read] of scan) {
    const before = state.get(file);
    const mayBeHalfWritten = 'text' in read && read.text.trim() === '' && (before?.inForce ?? []).length > 0;
    if (mayBeHalfWritten) continue;
    const parsed = parseRead(file, read, before);
    next.set(file, {
      text: 'text' in read ? read.text : undefined,
      parsed,
      inForce: before?.inForce,
      refusals: parsed.refusals,
      missingSinceMs: undefined,
    });
  }
  settle(next);
  const taken = new Set([...next.values()].flatMap(({ inForce = [] }) => inForce).flatMap(claimsOf));
  for (const [file, before] of state) {
    const missingSinceMs = before.missingSinceMs ?? nowMs;
    if (next.has(file) || nowMs - missingSinceMs >= REMOVAL_GRACE_MS) continue;
    // Given up for good: if the file came back, two would have the same in force.
    const inForce = before.inForce?.filter((resource) => !claimsOf(resource).some((claim) => taken.has(claim)));
    next.set(file, { ...before, inForce, refusals: [], missingSinceMs });
  }
  return next;
}

function parseRead(file: string, read: { text: string } | { error: string }, before: FileState | undefined) {
  if ('error' in read) {
    return { resources: [], refusals: [{ resource: undefined, message: `${file} can't be read: ${read.error}` }] };
  }
  return before && before.text === read.text ? before.parsed : parseManifestFile(file, read.text);
}

/**
 * Puts valid files in force; where two declare the same resource, the one that has it in force keeps it. Ends, since what
 * files have in force never has the same resource twice, so that a file is refused at most once.
 */
function settle(files: Map<string, FileState>): void {
  const refused = new Set([...files].filter(([, { refusals }]) => refusals.length > 0).map(([file]) => file));
  const chosen = (file: string, { parsed, inForce }: FileState) =>
    refused.has(file) ? (inForce ?? []) : parsed.resources;
  for (let isSettled = false; !isSettled; ) {
    isSettled = true;
    const owners = new Map<string, string>();
    const inOrder = [...files].sort(([a, stateA], [b, stateB]) => precedence(a, stateA, b, stateB, refused));
    for (const [file, state] of inOrder) {
      const conflicts = findConflicts(file, chosen(file, state), owners);
      if (conflicts.length === 0) continue;
      files.set(file, { ...state, refusals: conflicts });
      refused.add(file);
      isSettled = false;
      break; // it falls back to what it had in force, which the others are compared with anew
    }
  }
  for (const [file, state] of files)
    if (!refused.has(file)) files.set(file, { ...state, inForce: state.parsed.resources });
}

/** Refused files first, as they stay as they were; then those unchanged, those that were in force, and by name. */
function precedence(a: string, stateA: FileState, b: string, stateB: FileState, refused: ReadonlySet<string>): number {
  const rank = (file: string, { inForce, parsed }: FileState): number => {
    if (refused.has(file)) return 0;
    if (inForce === parsed.resources) return 1;
    return inForce ? 2 : 3;
  };
  return rank(a, stateA) - rank(b, stateB) || (a < b ? -1 : 1);
}

/** Adds to `owners` what the file claims; answers what another has already. */
function findConflicts(file: string, resources: readonly Resource[], owners: Map<string, string>): Refusal[] {
  return resources.flatMap((resource) => {
    const claims = claimsOf(resource);
    const taken = claims.find((claim) => (owners.get(claim) ?? file) !== file);
    for (const claim of claims) owners.set(claim, owners.get(claim) ?? file);
    if (!taken) return [];
    const message = `${nameOf(taken, resource)} is already declared in ${owners.get(taken)}`;
    return [{ resource, message: `${file}: ${describe(resource)}: ${message}` }];
  });
}

/** Also what a file on its way out had, for as long as no other file has taken it over. */
export function declaredBy(state: FolderState): Declared {
  const files = [...state.values()];
  return declare(
    files.flatMap(({ inForce = [] }) => inForce),
    files.flatMap(({ refusals }) => refusals),
    files.every(({ inForce }) => inForce !== undefined) ? NOTHING_UNREAD : 'unknown',
  );
}
