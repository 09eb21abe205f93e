// Finds a Go that can build Kubernetes, or gets one: the toolchain is a Go module too, so that any Go can fetch it.
import { chmod, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, type RunOptions, run } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import type { Say } from '../lab/progress.ts';

/** At least what go/go.mod asks for. */
const NEEDED = [1, 26, 6] as const;
const FETCHED = '1.26.8';
const CANDIDATES = ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go'];
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
const EXECUTABLE = 0o755;

/** The program `go`. Throws LabError CommandMissing where there is no Go at all. */
export async function findGo(say: Say, options: RunOptions): Promise<string> {
  const found: string[] = [];
  for (const go of CANDIDATES) {
    const version = await versionOf(go, options);
    if (version && isEnough(version)) return go;
    if (version) found.push(go);
  }
  const [old] = found;
  if (old === undefined)
    throw new LabError('CommandMissing', 'building a cluster needs Go: run deploy/setup --cluster, which installs it');
  say(`${old} is too old: fetching Go ${FETCHED}`);
  return fetchToolchain(old, options);
}

/** As in `go version go1.26.8 linux/amd64`. */
export function parseVersion(text: string): number[] | undefined {
  const version = /\bgo(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return version?.slice(1).map((part = '0') => Number(part));
}

export function isEnough(version: readonly number[]): boolean {
  const difference = NEEDED.map((needed, i) => (version[i] ?? 0) - needed).find((part) => part !== 0);
  return (difference ?? 0) >= 0;
}

async function versionOf(go: string, options: RunOptions): Promise<number[] | undefined> {
  const answer = await run([go, 'version'], options).catch(() => undefined);
  return answer?.code === 0 ? parseVersion(answer.stdout) : undefined;
}

/** Into Go's module cache, checked by its checksum database. Modules carry no executable bits. */
async function fetchToolchain(go: string, options: RunOptions): Promise<string> {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const module = `golang.org/toolchain@v0.0.1-go${FETCHED}.linux-${architecture}`;
  const fetched = await mustRun([go, 'mod', 'download', '-json', module], {
    ...options,
    timeoutMs: DOWNLOAD_TIMEOUT_MS,
  });
  const { Dir } = JSON.parse(fetched.stdout);
  for (const folder of ['bin', `pkg/tool/linux_${architecture}`])
    for (const name of await readdir(join(Dir, folder))) await chmod(join(Dir, folder, name), EXECUTABLE);
  return join(Dir, 'bin/go');
}
